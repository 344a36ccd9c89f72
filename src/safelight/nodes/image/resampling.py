"""Resize tensors: the five methods of ComfyUI's scaling nodes, cropping to an aspect ratio, batch sizes.

``bilinear``, ``bicubic`` and ``nearest-exact`` are torch's without antialiasing; ``lanczos`` uses Pillow, image by
image, in 8 bits, as ComfyUI's measured values show.
"""

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from PIL import Image

METHODS = ("nearest-exact", "bilinear", "area", "bicubic", "lanczos")
CROPS = ("disabled", "center")


def resize(image: torch.Tensor, width: int, height: int, *, method: str, crop: str = "disabled") -> torch.Tensor:
    """``[B, H, W, C]`` to ``[B, height, width, C]``. Raises :class:`ValueError` for an unknown ``crop``."""
    return resize_planes(image.movedim(-1, 1), width, height, method=method, crop=crop).movedim(1, -1)


def resize_mask(mask: torch.Tensor, width: int, height: int, *, method: str, crop: str = "disabled") -> torch.Tensor:
    """``[B, H, W]`` to ``[B, height, width]``."""
    return resize_planes(mask.unsqueeze(1), width, height, method=method, crop=crop).squeeze(1)


def resize_planes(
    planes: torch.Tensor, width: int, height: int, *, method: str, crop: str = "disabled"
) -> torch.Tensor:
    """``[B, C, H, W]`` to ``[B, C, height, width]``; ``crop="center"`` first crops to the new aspect ratio."""
    if crop == "center":
        planes = crop_to_aspect(planes, width, height)
    elif crop != "disabled":
        raise ValueError(f"unknown crop {crop!r}: choose one of {', '.join(CROPS)}")
    if method == "lanczos":
        return _lanczos(planes, width, height)
    return F.interpolate(planes, size=(height, width), mode=method)


def repeat_to(batch: torch.Tensor, size: int) -> torch.Tensor:
    """Cut the batch, or repeat it from its start, to ``size`` items."""
    if len(batch) < size:
        batch = batch.repeat(math.ceil(size / len(batch)), *[1] * (batch.ndim - 1))
    return batch[:size]


def with_channels(image: torch.Tensor, channels: int) -> torch.Tensor:
    """Add opaque alpha if the image has fewer channels."""
    return F.pad(image, (0, max(0, channels - image.shape[-1])), value=1.0)


def to_pil(image: torch.Tensor) -> Image.Image:
    """``[H, W, C]`` or ``[H, W]`` in 0..1, truncated (not rounded) to 8 bits."""
    pixels = np.clip(255.0 * image.cpu().numpy(), 0, 255).astype(np.uint8)
    return Image.fromarray(pixels[..., 0] if pixels.ndim == 3 and pixels.shape[-1] == 1 else pixels)


def from_pil(image: Image.Image) -> torch.Tensor:
    """``[H, W, C]`` (``[H, W]`` of a gray image) in 0..1."""
    pixels: np.ndarray[Any, Any] = np.array(image).astype(np.float32) / 255.0
    return torch.from_numpy(pixels)


def crop_to_aspect(planes: torch.Tensor, width: int, height: int) -> torch.Tensor:
    old_height, old_width = planes.shape[-2:]
    old_aspect, new_aspect = old_width / old_height, width / height
    x = y = 0
    if old_aspect > new_aspect:
        x = round((old_width - old_width * (new_aspect / old_aspect)) / 2)
    elif old_aspect < new_aspect:
        y = round((old_height - old_height * (old_aspect / new_aspect)) / 2)
    return planes[..., y : old_height - y, x : old_width - x]


def _lanczos(planes: torch.Tensor, width: int, height: int) -> torch.Tensor:
    channels = planes.shape[1]
    images = [to_pil(one.movedim(0, -1)).resize((width, height), Image.Resampling.LANCZOS) for one in planes]
    resized = torch.stack([from_pil(one).reshape(height, width, channels).movedim(-1, 0) for one in images])
    return resized.to(planes.device, planes.dtype)
