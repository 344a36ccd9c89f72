"""What nodes print becomes log lines of their job, so that it can never get into the pipe of messages."""

import io
import sys
import threading
import time
from collections.abc import Callable
from typing import TextIO

MAX_LINE = 8192
"""Longer lines are cut into pieces."""

Say = Callable[[int, str], None]
"""Takes a line and its time, in milliseconds since the epoch."""


class Lines(io.TextIOBase):
    """A text stream that says each line when it is complete. Of a line that a progress bar rewrites (``\\r``), it says
    the last state. Mutable, and safe to use from any thread; ``file`` is what lies below, for those who ask."""

    def __init__(self, say: Say, file: TextIO) -> None:
        self._say = say
        self._file = file
        self._rest = ""
        self._lock = threading.RLock()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        return self._file.fileno()

    def write(self, text: str) -> int:
        with self._lock:
            *lines, self._rest = (self._rest + text).split("\n")
            for line in lines:
                self._line(line)
            self._rest = _last_state(self._rest)
            while len(self._rest) > MAX_LINE:
                self._line(self._rest[:MAX_LINE])
                self._rest = self._rest[MAX_LINE:]
        return len(text)

    def finish(self) -> None:
        """Say what is left without a line's end."""
        with self._lock:
            rest, self._rest = self._rest, ""
            if rest:
                self._line(rest)

    def _line(self, line: str) -> None:
        self._say(time.time_ns() // 1_000_000, _last_state(line).removesuffix("\r"))


def _last_state(line: str) -> str:
    """What a terminal would show of a line that was rewritten; a ``\\r`` at its end is kept, as more may follow."""
    end = "\r" if line.endswith("\r") else ""
    return line.removesuffix("\r").rsplit("\r", 1)[-1] + end


def redirect(say: Say) -> Callable[[], None]:
    """Send ``sys.stdout`` and ``sys.stderr`` to ``say``; returns what says their unfinished lines.

    Only Python's streams: what native code prints goes on to the inherited descriptors, which the Supervisor reads, so
    that a crash can still say where it was.
    """
    out, error = Lines(say, sys.__stdout__ or sys.stdout), Lines(say, sys.__stderr__ or sys.stderr)
    sys.stdout, sys.stderr = out, error

    def finish() -> None:
        out.finish()
        error.finish()

    return finish
