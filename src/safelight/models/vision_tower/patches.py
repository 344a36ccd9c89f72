"""Cut a picture into patches, as Qwen's language models see it.

The picture is resized to whole groups of 2x2 patches, and its patches are listed group by group: a group becomes one
token.
"""

import math
from dataclasses import dataclass

import torch
from torch.nn import functional

MERGE = 2
"""Patches per side of a group."""
FRAMES = 2
"""The encoder looks at pairs of frames; a picture is shown twice."""
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_DEVIATION = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class PatchSettings:
    """``size``: pixels per side of a patch; the picture has between ``smallest`` and ``largest`` pixels."""

    size: int = 14
    smallest: int = 3136
    largest: int = 12845056
    mean: tuple[float, float, float] = CLIP_MEAN
    deviation: tuple[float, float, float] = CLIP_DEVIATION


@dataclass(frozen=True, eq=False)
class Patches:
    """``pixels [patches, 3 * FRAMES * size * size]``; ``rows`` and ``columns`` of patches."""

    pixels: torch.Tensor
    rows: int
    columns: int


def patches(image: torch.Tensor, settings: PatchSettings) -> Patches:
    """The patches of an ``image [H, W, 3]``, or of two frames ``[2, H, W, 3]``, in 0..1."""
    height, width = _size(image.shape[-3], image.shape[-2], settings)
    frames = image[..., :3].float().reshape(-1, *image.shape[-3:-1], 3).movedim(-1, 1)
    planes = functional.interpolate(frames, size=(height, width), mode="bilinear")
    mean, deviation = (torch.tensor(values, device=image.device) for values in (settings.mean, settings.deviation))
    planes = (planes - mean[:, None, None]) / deviation[:, None, None]
    rows, columns, size = height // settings.size, width // settings.size, settings.size
    grouped = planes.reshape(-1, 3, rows // MERGE, MERGE, size, columns // MERGE, MERGE, size)
    listed = grouped.permute(2, 5, 3, 6, 1, 0, 4, 7).reshape(rows * columns, 3, -1, size * size)
    return Patches(listed.expand(-1, -1, FRAMES, -1).flatten(1), rows, columns)


def angles_of(patches: Patches, head_width: int, *, theta: float = 10_000.0) -> torch.Tensor:
    """The angle of each pair of features, ``[patches, head_width / 2]``: half of them by the row, half by the
    column."""
    exponents = torch.arange(0, head_width // 2, 2).float() / (head_width // 2)
    frequencies = 1.0 / theta**exponents
    rows, columns = torch.meshgrid(torch.arange(patches.rows), torch.arange(patches.columns), indexing="ij")
    listed = [in_groups(axis[..., None])[:, 0] for axis in (rows, columns)]
    return torch.cat([positions.float()[:, None] * frequencies for positions in listed], dim=-1)


def in_groups(grid: torch.Tensor) -> torch.Tensor:
    """``[rows, columns, features]`` listed group by group, ``[patches, features]``."""
    rows, columns, features = grid.shape
    grouped = grid.reshape(rows // MERGE, MERGE, columns // MERGE, MERGE, features)
    return grouped.transpose(1, 2).reshape(-1, features)


def _size(height: int, width: int, settings: PatchSettings) -> tuple[int, int]:
    """The size to resize to: whole groups of patches, close to the original, within the limits."""
    side = settings.size * MERGE
    rounded = round(height / side) * side, round(width / side) * side
    if rounded[0] * rounded[1] > settings.largest:
        shrink = math.sqrt(height * width / settings.largest)
        return max(side, math.floor(height / shrink / side) * side), max(side, math.floor(width / shrink / side) * side)
    if rounded[0] * rounded[1] < settings.smallest:
        grow = math.sqrt(settings.smallest / (height * width))
        return math.ceil(height * grow / side) * side, math.ceil(width * grow / side) * side
    return rounded
