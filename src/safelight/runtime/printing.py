"""What nodes print becomes log lines of their job, so that it never reaches the pipe of messages."""

import io
import sys
import threading
import time
from collections.abc import Callable
from typing import TextIO

MAX_LINE = 8192
"""Longer lines are split."""

Emit = Callable[[int, str], None]
"""Receives the time of a line, in milliseconds since the epoch, and the line."""


class Lines(io.TextIOBase):
    """A text stream that emits each line when it is complete. Of a line that a progress bar rewrites (``\\r``), it
    emits the last state. Mutable, and safe to use from any thread; ``file``: the underlying stream, for
    :meth:`fileno`."""

    def __init__(self, emit: Emit, file: TextIO) -> None:
        self._emit = emit
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
        """Emit the rest, which has no newline."""
        with self._lock:
            rest, self._rest = self._rest, ""
            if rest:
                self._line(rest)

    def _line(self, line: str) -> None:
        self._emit(time.time_ns() // 1_000_000, _last_state(line).removesuffix("\r"))


def _last_state(line: str) -> str:
    """Return what a terminal would show of a rewritten line; a final ``\\r`` is kept, as more may follow."""
    end = "\r" if line.endswith("\r") else ""
    return line.removesuffix("\r").rsplit("\r", 1)[-1] + end


def redirect(emit: Emit) -> Callable[[], None]:
    """Redirect ``sys.stdout`` and ``sys.stderr`` to ``emit``; return a function that emits their unfinished lines.

    Redirects Python's streams only: native code still prints to the inherited descriptors, which the supervisor reads,
    so that a crash can report its traceback.
    """
    out, error = Lines(emit, sys.__stdout__ or sys.stdout), Lines(emit, sys.__stderr__ or sys.stderr)
    sys.stdout, sys.stderr = out, error

    def finish() -> None:
        out.finish()
        error.finish()

    return finish
