"""Messages on their way to the server, over the pipe that the launcher has passed on.

Safe to use from any thread. Order is kept. Progress is *latest wins*: at most one report for each key in
:data:`SPACING_S`, but always the first and, by :meth:`Outbox.settle`, the last.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .codec import encode

SPACING_S = 0.05
_FULL_BYTES = 64 * 1024

Message = Mapping[str, Any]
Report = Callable[[], Sequence[Message]]
"""Makes the messages of a report when it is sent, so that a skipped report costs nothing."""


@dataclass
class _Key:
    next_at: float = 0.0
    pending: Report | None = None


class Outbox:
    def __init__(self, write: Callable[[bytes], object], *, clock: Callable[[], float] = time.monotonic) -> None:
        """``write``: sends bytes, and blocks until they are sent."""
        self._write = write
        self._clock = clock
        self._buffer = bytearray()
        self._keys: dict[str, _Key] = {}
        self._lock = threading.RLock()
        self._due = threading.Condition(self._lock)
        self._timer: threading.Thread | None = None

    def post(self, message: Message, *, flush: bool = True) -> None:
        """Send a message now, or with the next write. Raises :class:`TypeError` if it is not plain data."""
        frame = encode(message)
        with self._lock:
            self._buffer += frame
            if flush or len(self._buffer) > _FULL_BYTES:
                self.flush()

    def flush(self) -> None:
        with self._lock:
            if self._buffer:
                frames, self._buffer = bytes(self._buffer), bytearray()
                self._write(frames)

    def report(self, key: str, report: Report) -> None:
        """Send a report now, or when it is due unless a later one with the same key replaces it."""
        with self._lock:
            state = self._keys.setdefault(key, _Key())
            if self._clock() >= state.next_at:
                self._send(state, report)
                return
            state.pending = report
            if self._timer is None:
                self._timer = threading.Thread(target=self._send_when_due, name="safelight-outbox", daemon=True)
                self._timer.start()
            self._due.notify()

    def settle(self, key: str) -> None:
        """Send the pending report of a key, and forget the key."""
        with self._lock:
            state = self._keys.pop(key, None)
            if state is not None and state.pending is not None:
                self._send(state, state.pending)

    def _send(self, state: _Key, report: Report) -> None:
        state.pending = None
        state.next_at = self._clock() + SPACING_S
        for message in report():
            self._buffer += encode(message)
        self.flush()

    def _send_when_due(self) -> None:
        with self._lock:
            while True:
                waiting = [state for state in self._keys.values() if state.pending is not None]
                if not waiting:
                    self._due.wait()
                    continue
                first = min(waiting, key=lambda state: state.next_at)
                pause = first.next_at - self._clock()
                if pause > 0:
                    self._due.wait(pause)
                elif first.pending is not None:
                    try:
                        self._send(first, first.pending)
                    except Exception:  # this thread also sends the reports of other keys
                        traceback.print_exc()
