"""The send queue of one socket: bounded, so that a client that does not read costs little memory and delays nobody.

A full queue first drops previews, then progress, of which only the latest matter. All other frames are kept in order
until the limit is reached; then the socket must be closed, and its client reconnects and gets a snapshot (WS-7).
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from safelight.api.comfy.frame import Frame

RELAXED_FRAMES, RELAXED_BYTES = 64, 1 << 20
"""Below these limits nothing is dropped: a client that keeps up sees every step."""
MAX_FRAMES, MAX_BYTES = 4096, 32 << 20


class Outbox:
    """Mutable: the waiting frames, in order."""

    def __init__(self) -> None:
        self._frames: OrderedDict[int, Frame] = OrderedDict()
        self._latest: dict[str, int] = {}
        self._next = 0
        self._bytes = 0
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._frames)

    def put(self, frame: Frame) -> bool:
        """``False`` if there is no room for a frame that must not be dropped: the socket would miss a message."""
        if frame.key is not None and self._is_strained():
            self._drop(self._latest.get(frame.key))
        if not self._has_room(frame):
            if frame.key is not None:
                return True
            for is_next in (_is_preview, _is_ephemeral):
                self._drop_all(is_next)
                if self._has_room(frame):
                    break
            else:
                return False
        self._frames[self._next] = frame
        self._bytes += len(frame.payload)
        if frame.key is not None:
            self._latest[frame.key] = self._next
        self._next += 1
        self._filled.set()
        return True

    async def get(self) -> Frame:
        while not self._frames:
            self._filled.clear()
            await self._filled.wait()
        number = next(iter(self._frames))
        return self._take(number)

    def _is_strained(self) -> bool:
        return len(self._frames) >= RELAXED_FRAMES or self._bytes >= RELAXED_BYTES

    def _has_room(self, frame: Frame) -> bool:
        return len(self._frames) < MAX_FRAMES and self._bytes + len(frame.payload) <= MAX_BYTES

    def _drop_all(self, is_wanted: Callable[[Frame], bool]) -> None:
        for number in [n for n, waiting in self._frames.items() if is_wanted(waiting)]:
            self._take(number)

    def _drop(self, number: int | None) -> None:
        if number is not None and number in self._frames:
            self._take(number)

    def _take(self, number: int) -> Frame:
        frame = self._frames.pop(number)
        self._bytes -= len(frame.payload)
        if frame.key is not None and self._latest.get(frame.key) == number:
            del self._latest[frame.key]
        return frame


def _is_ephemeral(frame: Frame) -> bool:
    return frame.key is not None


def _is_preview(frame: Frame) -> bool:
    return frame.key is not None and isinstance(frame.payload, bytes)
