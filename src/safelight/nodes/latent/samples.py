"""Latents as values: ``{"samples": tensor, "noise_mask": ..., "batch_index": [...]}``, never changed in place."""

from typing import Any

import torch

from safelight.nodes.image.resampling import crop_to_aspect, repeat_to, resize_planes
from safelight.nodes.latent.bislerp import bislerp

Latent = dict[str, Any]
"""``samples`` is ``[B, C, H, W]``; for a video ``[B, C, T, H, W]``, for audio ``[B, C, L]``; for several that are
denoised together, a :class:`safelight.models.nested.NestedTensor`."""

SEED = "noise_seed"
"""The key of the seed of the noise that a latent was sampled from, for autoencoders that add noise."""

DOWNSCALE = "downscale_ratio_spacial"
"""The key of an empty latent's number of image pixels per side of a latent pixel."""

VIDEO_DIMENSIONS = 5


def with_samples(latent: Latent, samples: torch.Tensor) -> Latent:
    """The latent with other samples; its mask, batch index and type are kept."""
    return {**latent, "samples": samples}


def resize_samples(samples: torch.Tensor, width: int, height: int, *, method: str, crop: str) -> torch.Tensor:
    """Resize an image or video latent to ``[..., height, width]`` (in latent pixels), frame by frame.

    ``method`` is one of torch's or ``bislerp``; ``crop="center"`` first crops to the new aspect ratio."""
    if samples.ndim == VIDEO_DIMENSIONS:
        batch, _, frames = samples.shape[:3]
        planes = samples.movedim(2, 1).flatten(0, 1)
        resized = resize_samples(planes, width, height, method=method, crop=crop)
        return resized.reshape(batch, frames, *resized.shape[1:]).movedim(1, 2)
    if method != "bislerp":
        return resize_planes(samples, width, height, method=method, crop=crop)
    if crop == "center":
        samples = crop_to_aspect(samples, width, height)
    return bislerp(samples, width, height)


def fit(samples: torch.Tensor, like: torch.Tensor, *, repeat: bool = True) -> torch.Tensor:
    """``samples`` in the height and width of ``like`` and, with ``repeat``, in its batch size."""
    if samples.shape[1:] != like.shape[1:]:
        samples = resize_samples(samples, like.shape[-1], like.shape[-2], method="bilinear", crop="center")
    return repeat_to(samples, len(like)) if repeat else samples


def batch_index(latent: Latent) -> list[int]:
    """The index of the noise that each item gets from its seed."""
    return list(latent.get("batch_index", range(len(latent["samples"]))))
