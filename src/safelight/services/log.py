"""The latest lines of the server's log and of its workers, for the console of the web UI."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime

from safelight.bus.bus import Bus
from safelight.core.event import Event, LogWritten

KEPT_LINES = 2_000


class LogBuffer(logging.Handler):
    """Mutable: the last ``KEPT_LINES`` lines that went over the bus. As a handler of :mod:`logging` it puts the
    server's own lines there, from any thread; workers' lines come from the dispatcher."""

    def __init__(self, bus: Bus) -> None:
        super().__init__()
        self._bus = bus
        self._loop = asyncio.get_running_loop()
        self._lines: deque[tuple[datetime, str]] = deque(maxlen=KEPT_LINES)
        bus.subscribe(self._hear)

    def entries(self) -> Sequence[tuple[datetime, str]]:
        """Oldest first; each text ends its line."""
        return tuple(self._lines)

    def emit(self, record: logging.LogRecord) -> None:
        line = f"{record.levelname} {record.name}: {record.getMessage()}\n"
        event = LogWritten(owner_id=None, entries=[(datetime.fromtimestamp(record.created, UTC), line)])
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._bus.publish, [event])

    def _hear(self, event: Event) -> None:
        if isinstance(event, LogWritten):
            self._lines.extend((at, text if text.endswith("\n") else text + "\n") for at, text in event.entries)
