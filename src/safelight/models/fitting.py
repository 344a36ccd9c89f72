"""Bring planes to a size: crop to its aspect ratio around the center, then scale."""

import torch
from torch.nn import functional


def fit_planes(planes: torch.Tensor, size: tuple[int, int], *, mode: str) -> torch.Tensor:
    """``[B, C, h, w]`` to ``size`` (height, width). ``mode``: of the interpolation."""
    height, width = planes.shape[-2:]
    wanted = size[1] / size[0]
    if width / height > wanted:
        cut = round((width - height * wanted) / 2)
        planes = planes[..., cut : width - cut]
    elif width / height < wanted:
        cut = round((height - width / wanted) / 2)
        planes = planes[..., cut : height - cut, :]
    return planes if planes.shape[-2:] == size else functional.interpolate(planes, size=size, mode=mode)
