"""A film: the frames of decoded latents, which are decoded when they are read and not kept.

Its value is that of an ``IMAGE``: ``[frames, H, W, channels]`` in 0..1. Whoever reads it in pieces needs memory for one
piece. Each reading decodes again; decoding is deterministic.
"""

import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch

from safelight.core.errors import TooLarge
from safelight.sdk.context import current
from safelight.sdk.in_pieces import InPieces

MAX_NUMBERS = 2**33
"""Numbers of all frames together in memory: 32 GiB as float32."""


@dataclass(frozen=True)
class Tiling:
    """Tiles in which frames are decoded: ``size`` and ``overlap`` in latent pixels."""

    size: int
    overlap: int


class FrameDecoder(Protocol):
    """Decodes a video piece by piece. Law: the pieces joined do not depend on how far one reads."""

    def film_shape(self, latent: torch.Tensor) -> torch.Size:
        """``[frames, H, W, channels]`` of all items of ``latent [B, C, frames, h, w]`` together."""
        ...

    def pieces(self, latent: torch.Tensor, tiling: Tiling | None) -> Iterator[torch.Tensor]:
        """The frames ``[n, H, W, channels]`` in 0..1, on the CPU, in order."""
        ...


@dataclass(frozen=True, eq=False)
class Film(InPieces):
    """``first`` and ``last``: the part of the frames, up to but not including ``last``. Slices of it are films."""

    decoder: FrameDecoder
    latent: torch.Tensor
    tiling: Tiling | None = None
    first: int = 0
    last: int | None = None
    _made: list[Any] = field(default_factory=list, repr=False)
    """A weak reference to the whole, for readers that need it at the same time."""

    @property
    def shape(self) -> torch.Size:
        count, *rest = self.decoder.film_shape(self.latent)
        last = count if self.last is None else min(self.last, count)
        return torch.Size((max(0, last - self.first), *rest))

    @property
    def ndim(self) -> int:
        return 4

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice) and index.step in (None, 1):
            start, stop, _ = index.indices(len(self))
            return replace(self, first=self.first + start, last=self.first + stop, _made=[])
        return self.whole()[index]

    def pieces(self) -> Iterator[torch.Tensor]:
        """``[n, H, W, channels]``, one after the other. Reports progress in frames; raises
        :class:`safelight.sdk.context.Cancelled`."""
        count = len(self)
        position = done = 0
        if not count:
            return
        for piece in self.decoder.pieces(self.latent, self.tiling):
            start = max(0, self.first - position)
            position += len(piece)
            if position <= self.first:
                _report(0, count)
                continue
            own = piece[start : start + count - done]
            done += len(own)
            _report(done, count)
            yield own
            if done == count:
                return

    def whole(self) -> torch.Tensor:
        """Raises :class:`~safelight.core.errors.TooLarge` before any frame is decoded."""
        made = self._made[0]() if self._made else None
        if made is not None:
            return made  # type: ignore[no-any-return]
        shape = self.shape
        if shape.numel() > MAX_NUMBERS:
            count, height, width, _ = shape
            raise TooLarge(
                f"{count} frames of {width} x {height} are more than fit into memory together; save them as a video, "
                "or cut the video first"
            )
        frames = torch.empty(shape)
        position = 0
        for piece in self.pieces():
            frames[position : position + len(piece)] = piece
            position += len(piece)
        self._made[:] = [weakref.ref(frames)]
        return frames


def _report(done: int, count: int) -> None:
    try:
        run = current()
    except RuntimeError:  # outside of a job
        return
    run.progress(done, count)
