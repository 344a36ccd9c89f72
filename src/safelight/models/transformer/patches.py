"""Pictures as tokens: squares of pixels, each flattened to the features of a token."""

from typing import NamedTuple

import torch
from torch.nn import functional


class Patches(NamedTuple):
    """``tokens [B, rows * columns, C * size * size]``, and how many patches there are."""

    tokens: torch.Tensor
    rows: int
    columns: int


def in_patches(planes: torch.Tensor, size: int) -> Patches:
    """``[B, C, h, w]`` in patches, row by row. Sides that are no multiples of ``size`` are continued from the opposite
    side."""
    height, width = planes.shape[-2:]
    below, right = -height % size, -width % size
    if below or right:
        planes = functional.pad(planes, (0, right, 0, below), mode="circular")
    rows, columns = planes.shape[-2] // size, planes.shape[-1] // size
    batch, channels = planes.shape[:2]
    squares = planes.reshape(batch, channels, rows, size, columns, size)
    return Patches(squares.permute(0, 2, 4, 1, 3, 5).reshape(batch, rows * columns, -1), rows, columns)


def from_patches(tokens: torch.Tensor, size: int, *, rows: int, columns: int) -> torch.Tensor:
    """The inverse of :func:`in_patches`, with whole patches."""
    squares = tokens.reshape(len(tokens), rows, columns, -1, size, size)
    return squares.permute(0, 3, 1, 4, 2, 5).reshape(len(tokens), -1, rows * size, columns * size)


def grid_positions(rows: int, columns: int, *, axes: int, device: torch.device) -> torch.Tensor:
    """Positions ``[rows * columns, axes]`` of patches: axis 1 is the row, axis 2 the column, others are 0."""
    positions = torch.zeros(rows, columns, axes, device=device)
    positions[..., 1] = torch.arange(rows, device=device)[:, None]
    positions[..., 2] = torch.arange(columns, device=device)
    return positions.flatten(0, 1)
