"""Process large planes in overlapping tiles, with blended seams."""

from collections.abc import Callable

import torch


def in_tiles(
    planes: torch.Tensor,
    work: Callable[[torch.Tensor], torch.Tensor],
    *,
    size: tuple[int, int],
    overlap: int,
    scale: float,
) -> torch.Tensor:
    """Apply ``work`` to tiles of ``size`` (height, width) of ``planes [1, C, h, w]`` or ``[1, C, frames, h, w]``. Its
    result has ``scale`` times as many pixels per side. Where tiles overlap, each is weighted by the distance from its
    edge."""
    height, width = planes.shape[-2:]
    rows, columns = _tile_ranges(height, size[0], overlap), _tile_ranges(width, size[1], overlap)
    if len(rows) == len(columns) == 1:
        return work(planes)
    total = weight = None
    for top, bottom in rows:
        for left, right in columns:
            done = work(planes[..., top:bottom, left:right])
            if total is None or weight is None:
                size_made = (round(height * scale), round(width * scale))
                total, weight = done.new_zeros((*done.shape[:-2], *size_made)), done.new_zeros((1, 1, *size_made))
            y, x = round(top * scale), round(left * scale)
            rows_here, columns_here = slice(y, y + done.shape[-2]), slice(x, x + done.shape[-1])
            mask = _feathered(done.shape[-2:], round(overlap * scale))
            total[..., rows_here, columns_here] += done * mask
            weight[..., rows_here, columns_here] += mask
    assert total is not None and weight is not None  # noqa: PT018 (there is at least one tile)
    return total / weight


def _tile_ranges(length: int, size: int, overlap: int) -> list[tuple[int, int]]:
    if length <= size:
        return [(0, length)]
    step = max(size - overlap, 1)
    ranges = []
    for position in range(0, length - overlap, step):
        start = max(0, min(length - overlap, position))
        ranges.append((start, start + min(size, length - start)))
    return ranges


def _feathered(size: tuple[int, ...], overlap: int) -> torch.Tensor:
    mask = torch.ones(1, 1, *size)
    for step in range(min(overlap, *size)):
        share = (step + 1) / overlap
        for dimension in (2, 3):
            mask.narrow(dimension, step, 1).mul_(share)
            mask.narrow(dimension, mask.shape[dimension] - 1 - step, 1).mul_(share)
    return mask
