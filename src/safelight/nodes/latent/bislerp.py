"""Resize latents by spherical interpolation: between two neighbors, the direction of the channel vector moves along the
great circle and its magnitude linearly, so that the result is not weaker than its neighbors, as a mean would be."""

import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)

PARALLEL = 1e-5
"""Vectors whose cosine is closer to 1 or -1 than this span no plane to rotate in."""


def bislerp(planes: torch.Tensor, width: int, height: int) -> torch.Tensor:
    """``[B, C, H, W]`` to ``[B, C, height, width]``: along the width first, then along the height."""
    wide = _along_width(planes.float(), width)
    return _along_width(wide.transpose(-1, -2), height).transpose(-1, -2).to(planes.dtype)


def _along_width(planes: torch.Tensor, width: int) -> torch.Tensor:
    left, right, ratio = _neighbours(planes.shape[-1], width, planes.device)
    return _slerp(planes[..., left], planes[..., right], ratio)


def _neighbours(old: int, new: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """For each new position, the old ones on both sides, and its distance (0..1) from the left one.

    Positions are those of torch's bilinear interpolation of the numbers 0, 1, 2 ..."""
    numbers = torch.arange(old, dtype=torch.float32, device=device)
    left = F.interpolate(numbers[None, None, None], size=(1, new), mode="bilinear")[0, 0, 0]
    following = (numbers + 1).clamp(max=old - 1)
    right = F.interpolate(following[None, None, None], size=(1, new), mode="bilinear")[0, 0, 0]
    return left.long(), right.long(), left - left.floor()


def _slerp(one: torch.Tensor, other: torch.Tensor, ratio: torch.Tensor) -> torch.Tensor:
    """Interpolate between the vectors along dimension 1; ``ratio`` is one number per position of the last dimension."""
    length, other_length = one.norm(dim=1, keepdim=True), other.norm(dim=1, keepdim=True)
    direction = torch.where(length == 0, 0.0, one / length)
    other_direction = torch.where(other_length == 0, 0.0, other / other_length)

    cosine = (direction * other_direction).sum(1, keepdim=True)
    angle = torch.acos(cosine)
    sine = torch.sin(angle)
    turned = (torch.sin((1.0 - ratio) * angle) / sine) * direction
    turned = turned + (torch.sin(ratio * angle) / sine) * other_direction
    turned = turned * (length * (1.0 - ratio) + other_length * ratio)

    turned = torch.where(cosine > 1 - PARALLEL, one, turned)
    return torch.where(cosine < PARALLEL - 1, one * (1.0 - ratio) + other * ratio, turned)
