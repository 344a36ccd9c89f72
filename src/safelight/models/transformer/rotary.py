"""Rotary position embedding (Su et al., "RoFormer", 2021) over several axes: each axis turns its own share of the
features of a head, as pairs of neighbours."""

from collections.abc import Sequence

import torch


def rotations(positions: torch.Tensor, widths: Sequence[int], *, theta: float) -> torch.Tensor:
    """Cosines and sines ``[B, 1, tokens, sum(widths) / 2, 2]`` of ``positions [B, tokens, axes]``. ``widths``: features
    of a head that each axis turns. Angles are computed in float64."""
    angles = [_angles(positions[..., axis], width, theta) for axis, width in enumerate(widths)]
    joined = torch.cat(angles, dim=-1)
    return torch.stack((joined.cos(), joined.sin()), dim=-1).float().unsqueeze(1)


def rotated(heads: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """``heads [B, heads, tokens, width]``, each pair of neighbouring features turned."""
    pairs = heads.float().reshape(*heads.shape[:-1], -1, 2)
    first, second = pairs.unbind(-1)
    cosines, sines = turns.unbind(-1)
    turned = torch.stack((first * cosines - second * sines, second * cosines + first * sines), dim=-1)
    return turned.flatten(-2).to(heads.dtype)


def _angles(positions: torch.Tensor, width: int, theta: float) -> torch.Tensor:
    exponents = torch.arange(0, width, 2, dtype=torch.float64, device=positions.device) / width
    return positions.double()[..., None] / theta**exponents
