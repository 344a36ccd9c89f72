"""The lengths that films can have, and those of their latents: 24 frames and 40 positions of sound a second."""

FRAMES_PER_SECOND = 24
POSITIONS_PER_SECOND = 40
CLIP = 17
"""Frames that the autoencoder encodes at once, to 5 latent frames."""
CLIP_LATENTS = 5


def aligned(frames: int) -> int:
    """The next number of frames, 17 n + 5, that the autoencoder makes."""
    return frames + (CLIP_LATENTS - frames) % CLIP


def cut_to_clips(frames: int) -> int:
    """The most frames, 17 n + 5, that a film of ``frames`` has; 1 below 5."""
    return 1 if frames < CLIP_LATENTS else (frames - CLIP_LATENTS) // CLIP * CLIP + CLIP_LATENTS


def latent_frames(frames: int) -> int:
    """Of an aligned number of frames: 5 n + 2; 1 of a picture."""
    return 1 if frames == 1 else (frames - CLIP_LATENTS) // CLIP * CLIP_LATENTS + 2


def shown_frames(latents: int) -> int:
    """The inverse of :func:`latent_frames`."""
    return 1 if latents == 1 else (latents - 2) // CLIP_LATENTS * CLIP + CLIP_LATENTS


def sound_positions(frames: int) -> int:
    """Positions of sound beside so many frames."""
    return round(frames / FRAMES_PER_SECOND * POSITIONS_PER_SECOND)
