"""Messages of an engine on their way to the pipe: batched into few writes, with progress coalesced at the source.

Mutable, and safe to use from any thread. Order is kept: a message that is posted later arrives later. Progress is
*latest wins*: at most one report of a call per :data:`SPACING_S`, but always its first and, by :meth:`settle`, its
last.
"""

import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from safelight.wire.codec import encode
from safelight.wire.messages import Message

SPACING_S = 0.05
"""Minimum time between two reports of one call."""

_FULL_BYTES = 64 * 1024
"""Write immediately once this much is buffered."""

Report = Callable[[], Sequence[Message]]
"""Makes the messages of a report when it is sent, so that a skipped report costs nothing."""


@dataclass
class _Pending:
    next_at: float = 0.0
    pending: Report | None = None


class Outbox:
    def __init__(self, write: Callable[[bytearray], None], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self._buffered = bytearray()
        self._reports: dict[str, _Pending] = {}
        self._lock = threading.RLock()
        self._due = threading.Condition(self._lock)
        self._timer: threading.Thread | None = None

    def post(self, message: Message, *, flush: bool = False) -> None:
        """Send ``message`` with the next write, or now. Raises :class:`TypeError` if it is not plain data."""
        frame = encode((message,))
        with self._lock:
            self._buffered += frame
            if flush or len(self._buffered) > _FULL_BYTES:
                self.flush()

    def flush(self) -> None:
        with self._lock:
            if self._buffered:
                frames, self._buffered = self._buffered, bytearray()
                self._write(frames)

    def report(self, key: str, report: Report) -> None:
        """Send the report now, or when it is due, unless a later one with the same ``key`` (a call's id) replaces
        it."""
        with self._lock:
            state = self._reports.setdefault(key, _Pending())
            if self._clock() >= state.next_at:
                self._send(state, report)
                return
            state.pending = report
            if self._timer is None:
                self._timer = threading.Thread(target=self._send_when_due, name="outbox", daemon=True)
                self._timer.start()
            self._due.notify()

    def settle(self, key: str) -> None:
        """Send the pending report of a call that is over, and forget its key."""
        with self._lock:
            state = self._reports.pop(key, None)
            if state is not None and state.pending is not None:
                self._send(state, state.pending)

    def _send(self, state: _Pending, report: Report) -> None:
        state.pending = None
        state.next_at = self._clock() + SPACING_S
        for message in report():
            self._buffered += encode((message,))
        self.flush()

    def _send_when_due(self) -> None:
        with self._lock:
            while True:
                waiting = [s for s in self._reports.values() if s.pending is not None]
                if not waiting:
                    self._due.wait()
                    continue
                first = min(waiting, key=lambda s: s.next_at)
                pause = first.next_at - self._clock()
                if pause > 0:
                    self._due.wait(pause)
                elif first.pending is not None:
                    try:
                        self._send(first, first.pending)
                    except Exception as error:
                        # A report that cannot be made is dropped: this thread also sends those of other calls.
                        traceback.print_exception(error)
