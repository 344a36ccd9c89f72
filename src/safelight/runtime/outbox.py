"""What an engine says, on its way to the pipe: gathered into few writes, and progress thinned at the source.

Mutable, and safe to use from any thread. Order is kept: whatever is posted after a message arrives after it. Progress
is *latest wins*: at most one report of a call per :data:`SPACING_S`, but always its first and, by :meth:`settle`, its
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
"""The least time between two reports of one call."""

_FULL_BYTES = 64 * 1024
"""So much is not kept back for a later write."""

Report = Callable[[], Sequence[Message]]
"""Makes the messages of a report when it is its turn, so that what is skipped costs nothing."""


@dataclass
class _Lane:
    next_at: float = 0.0
    pending: Report | None = None


class Outbox:
    def __init__(self, write: Callable[[bytearray], None], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self._gathered = bytearray()
        self._lanes: dict[str, _Lane] = {}
        self._lock = threading.RLock()
        self._due = threading.Condition(self._lock)
        self._timer: threading.Thread | None = None

    def post(self, message: Message, *, flush: bool = False) -> None:
        """Say ``message`` with the next write, or now. Raises :class:`TypeError` for what is no plain data."""
        frame = encode((message,))
        with self._lock:
            self._gathered += frame
            if flush or len(self._gathered) > _FULL_BYTES:
                self.flush()

    def flush(self) -> None:
        with self._lock:
            if self._gathered:
                frames, self._gathered = self._gathered, bytearray()
                self._write(frames)

    def report(self, lane: str, report: Report) -> None:
        """Say the latest of ``lane`` (a call's id) now, or when its time comes, unless a later one replaces it."""
        with self._lock:
            state = self._lanes.setdefault(lane, _Lane())
            if self._clock() >= state.next_at:
                self._say(state, report)
                return
            state.pending = report
            if self._timer is None:
                self._timer = threading.Thread(target=self._say_when_due, name="outbox", daemon=True)
                self._timer.start()
            self._due.notify()

    def settle(self, lane: str) -> None:
        """The call is over: what is pending of it is said, and the lane is forgotten."""
        with self._lock:
            state = self._lanes.pop(lane, None)
            if state is not None and state.pending is not None:
                self._say(state, state.pending)

    def _say(self, state: _Lane, report: Report) -> None:
        state.pending = None
        state.next_at = self._clock() + SPACING_S
        for message in report():
            self._gathered += encode((message,))
        self.flush()

    def _say_when_due(self) -> None:
        with self._lock:
            while True:
                waiting = [s for s in self._lanes.values() if s.pending is not None]
                if not waiting:
                    self._due.wait()
                    continue
                first = min(waiting, key=lambda s: s.next_at)
                pause = first.next_at - self._clock()
                if pause > 0:
                    self._due.wait(pause)
                elif first.pending is not None:
                    try:
                        self._say(first, first.pending)
                    except Exception as error:
                        # A report that cannot be made is left out: this thread says those of other calls too.
                        traceback.print_exception(error)
