"""What nodes print, as log lines of their job: the launcher's descriptors belong to no job."""

from __future__ import annotations

import io
import logging
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

MAX_LINE = 8192

Emit = Callable[[int, str], None]
"""Takes the time of a line in milliseconds since the epoch, and the line."""


class Lines(io.TextIOBase):
    """A text stream that emits each line when it is complete; of a line that a progress bar rewrites, the last state.
    Safe to use from any thread. Other attributes are those of the stream that it replaces."""

    def __init__(self, emit: Emit, replaced: Any) -> None:
        self._emit = emit
        self._replaced = replaced
        self._rest = ""
        self._lock = threading.RLock()

    encoding = "utf-8"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._replaced, name)

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        number: int = self._replaced.fileno()
        return number

    def write(self, text: str) -> int:
        with self._lock:
            *lines, self._rest = (self._rest + text).split("\n")
            for line in lines:
                self._line(line)
            while len(self._rest) > MAX_LINE:
                self._line(self._rest[:MAX_LINE])
                self._rest = self._rest[MAX_LINE:]
        return len(text)

    def finish(self) -> None:
        """Emit the rest, which has no newline."""
        with self._lock:
            rest, self._rest = self._rest, ""
            if rest.strip():
                self._line(rest)

    def _line(self, line: str) -> None:
        shown = line.removesuffix("\r").rsplit("\r", 1)[-1]
        self._emit(time.time_ns() // 1_000_000, shown[:MAX_LINE])


def redirect(emit: Emit) -> Callable[[], None]:
    """Send what this process prints, and what its log handlers write, to ``emit``. Return a function that emits
    unfinished lines. Native code still prints to the inherited descriptors, so that a crash can report its stack."""
    out, error = Lines(emit, sys.stdout), Lines(emit, sys.stderr)
    for handler in logging.getLogger().handlers:
        if type(handler) is logging.StreamHandler:
            handler.setStream(out if handler.stream is sys.stdout else error)
    sys.stdout, sys.stderr = out, error

    def finish() -> None:
        out.finish()
        error.finish()

    return finish
