"""Read pictures: the background, and the colour, shape and place of each thing, from pixels and geometry."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from training.scenes import COLORS, PLACES, SHAPES, SIDE

_PALETTE = np.array(list(COLORS.values()), dtype=float)
_GRID = 32


@dataclass(frozen=True, slots=True)
class Seen:
    """A thing found in a picture; ``place`` is the nearest of the nine."""

    color: str
    shape: str
    place: str
    area: float


def read(picture: np.ndarray) -> tuple[str, list[Seen]]:
    """Return the background of a picture ``[128, 128, 3]`` uint8, and the things on it, the largest first."""
    pixels = picture.astype(float)
    edge = np.concatenate((pixels[:4].reshape(-1, 3), pixels[-4:].reshape(-1, 3), pixels[:, :4].reshape(-1, 3)))
    ground = np.median(edge, axis=0)
    is_thing = np.linalg.norm(pixels - ground, axis=-1) > 45
    return _nearest_color(ground), [_seen(pixels, mask) for mask in _regions(is_thing)]


def _nearest_color(color: np.ndarray) -> str:
    return list(COLORS)[int(np.linalg.norm(_PALETTE - color, axis=1).argmin())]


def _regions(mask: np.ndarray, *, least: int = 60) -> list[np.ndarray]:
    """Return connected regions of at least ``least`` pixels, the largest first."""
    from scipy import ndimage

    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    regions = [labels == index + 1 for index in range(count)]
    return sorted((r for r in regions if r.sum() >= least), key=lambda r: -int(r.sum()))


def _seen(pixels: np.ndarray, mask: np.ndarray) -> Seen:
    color = np.median(pixels[mask], axis=0)
    rows, columns = np.nonzero(mask)
    middle = ((columns.min() + columns.max()) / 2 / SIDE, (rows.min() + rows.max()) / 2 / SIDE)
    place = min(PLACES, key=lambda name: math.dist(PLACES[name], middle))
    return Seen(_nearest_color(color), _shape(mask), place, float(mask.mean()))


def _shape(mask: np.ndarray) -> str:
    """Return the shape whose own outline, in the same box, overlaps most."""
    rows, columns = np.nonzero(mask)
    box = mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    steps = [(np.arange(_GRID) + 0.5) / _GRID * length for length in box.shape]
    small = box[np.ix_(steps[0].astype(int), steps[1].astype(int))]

    def overlap(name: str) -> float:
        other = _outline(name)
        return float((small & other).sum() / (small | other).sum())

    return max(SHAPES, key=overlap)


def _outline(name: str) -> np.ndarray:
    if name not in _OUTLINES:
        import random

        from training.scenes import Scene, Thing, drawn

        picture = drawn(Scene("white", Thing("black", name, "large", "center")), random.Random(1))
        mask = picture[..., 0] < 128
        rows, columns = np.nonzero(mask)
        box = mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        steps = [((np.arange(_GRID) + 0.5) / _GRID * length).astype(int) for length in box.shape]
        _OUTLINES[name] = box[np.ix_(*steps)]
    return _OUTLINES[name]


_OUTLINES: dict[str, np.ndarray] = {}


@dataclass
class Score:
    """Counts of right answers for scenes with one thing, and for pairs whether both colours and their relation are
    right."""

    scenes: int = 0
    background: int = 0
    color: int = 0
    shape: int = 0
    place: int = 0
    pairs: int = 0
    pair_colors: int = 0
    relations: int = 0

    def lines(self) -> Iterable[str]:
        for name in ("background", "color", "shape", "place"):
            yield f"{name}: {getattr(self, name)} of {self.scenes}"
        for name in ("pair_colors", "relations"):
            yield f"{name}: {getattr(self, name)} of {self.pairs}"
