"""Where each part of MiniMax H3's sequence is: text, references, guides, the sound and the film, on three axes of time,
height and width.

Text counts on the axis of time. A position of sound takes 1 on it, a frame 5/3. References follow the text, each after
the one before; guides are at frames of the film. Rows and columns span 32 for a square of the picture's area.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

FRAME = 5 / 3
"""A frame on the axis of time."""
_SPANS = (1, 4, 4, 4, 4)
"""Frames of each latent frame, repeated."""
SPACE = 32.0
PATCH = 2

Kind = Literal["image", "video", "sound", "guide"]
VIDEO, TEXT, SOUND = 0, 1, 2
"""What a row is, as the network's modulation knows it."""


@dataclass(frozen=True)
class Part:
    """A reference or a guide. ``film``: latent frames, height and width, if it has a picture; ``positions``: of its
    sound, 0 without. ``frame``: of the film, where a guide is."""

    kind: Kind
    film: tuple[int, int, int] | None = None
    positions: int = 0
    frame: int = 0

    @property
    def length(self) -> float:
        """What it takes on the axis of time."""
        if self.kind == "image":
            return 1.0
        frames = 0.0 if self.film is None else sum(FRAME * _SPANS[n % len(_SPANS)] for n in range(self.film[0]))
        return 0.0 if self.kind == "guide" else max(float(self.positions), frames)


@dataclass(frozen=True, eq=False)
class Layout:
    """Positions ``[rows, 3]`` of the text, of the films and sounds of the parts, and of what is made."""

    text: torch.Tensor
    films: tuple[torch.Tensor, ...]
    sounds: tuple[torch.Tensor, ...]
    film: torch.Tensor
    sound: torch.Tensor


def layout(text: int, parts: Sequence[Part], film: tuple[int, int, int], positions: int) -> Layout:
    """``text``: tokens; ``film``: latent frames, height and width of what is made; ``positions``: of its sound."""
    films: list[torch.Tensor] = []
    sounds: list[torch.Tensor] = []
    start = float(text) + sum(part.length for part in parts)
    now = float(text)
    for part in parts:
        begin = start + part.frame * FRAME if part.kind == "guide" else now
        size = film if part.film is None or part.kind == "guide" else part.film
        if part.film is not None:
            still = part.kind == "image" or part.film[0] == 1
            films.append(_film((part.film[0], *size[1:]), begin, still=still))
        if part.positions:
            sounds.append(_sound(part.positions, begin, size))
        now += part.length
    counted = torch.zeros(text, 3, dtype=torch.float64)
    counted[:, 0] = torch.arange(text)
    return Layout(counted, tuple(films), tuple(sounds), _film(film, start), _sound(positions, start, film))


def _film(size: tuple[int, int, int], start: float, *, still: bool = False) -> torch.Tensor:
    frames, height, width = size
    spans = [0.0] + [0.0 if still else FRAME * _SPANS[n % len(_SPANS)] for n in range(frames - 1)]
    times = start + torch.tensor(spans, dtype=torch.float64).cumsum(0)
    rows, columns = _axis(height, height, width), _axis(width, height, width)
    grid = torch.stack(torch.meshgrid(times, rows, columns, indexing="ij"), dim=-1)
    return grid.reshape(-1, 3)


def _sound(positions: int, start: float, size: tuple[int, int, int]) -> torch.Tensor:
    """The left channel, then the right: at the first and the last column of the picture."""
    columns = _axis(size[2], size[1], size[2])
    made = torch.zeros(2, positions, 3, dtype=torch.float64)
    made[..., 0] = start + torch.arange(positions, dtype=torch.float64)
    made[0, :, 2], made[1, :, 2] = columns[0], columns[-1]
    return made.reshape(-1, 3)


def _axis(side: int, height: int, width: int) -> torch.Tensor:
    ratio, count = side / (height * width) ** 0.5, side // PATCH
    steps = torch.arange(count, dtype=torch.float64) * (ratio / count)
    placed: torch.Tensor = ((1 - ratio) / 2 + steps) * SPACE
    return placed
