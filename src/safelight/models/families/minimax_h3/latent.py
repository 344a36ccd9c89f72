"""The latents of MiniMax H3: a film, ``[B, 24, frames, h, w]``, and its sound in stereo, ``[B, 32, positions, 1, 2]``.
The autoencoders return them on the network's scale."""

import torch

from safelight.models.families.minimax_h3.frames import shown_frames, sound_positions
from safelight.models.latent_format import LatentFormat

SOUND_LATENT = LatentFormat(channels=32, downscale=1, frames=1)


def silence(film: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """An empty latent of the sound beside a film."""
    positions = sound_positions(shown_frames(film.shape[2]))
    return (film.new_zeros(len(film), SOUND_LATENT.channels, positions, 1, 2),)


H3_LATENT = LatentFormat(channels=24, downscale=16, frames=4, others=(SOUND_LATENT,), empty_others=silence)
