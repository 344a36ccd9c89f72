"""The latest lines of the server's log and of its workers, for the console of the web UI."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from safelight.bus.bus import Bus
from safelight.core.event import Event, JobEnded, JobRequeued, JobStarted, LogWritten
from safelight.core.ids import JobId, UserId, shown_job_id
from safelight.core.job import JobState

KEPT_LINES = 2_000

_jobs = logging.getLogger("safelight.jobs")


class LogBuffer(logging.Handler):
    """Mutable: the last ``KEPT_LINES`` lines that went over the bus. As a handler of :mod:`logging` it puts the
    server's own lines there, from any thread; workers' lines come from the dispatcher."""

    def __init__(self, bus: Bus) -> None:
        super().__init__()
        self._bus = bus
        self._loop = asyncio.get_running_loop()
        self._lines: deque[tuple[UserId | None, datetime, str]] = deque(maxlen=KEPT_LINES)
        bus.subscribe(self._hear)

    def entries(self, *, owner: UserId | None) -> Sequence[tuple[datetime, str]]:
        """Oldest first; each text ends its line. ``owner``: those of one user's jobs alone; ``None``: all."""
        return [(at, text) for of, at, text in self._lines if owner in (None, of)]

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == _jobs.name:
            return  # told on the bus with its owner
        line = f"{record.levelname} {record.name}: {record.getMessage()}\n"
        event = LogWritten(owner_id=None, entries=[(datetime.fromtimestamp(record.created, UTC), line)])
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._bus.publish, [event])

    def _hear(self, event: Event) -> None:
        if isinstance(event, LogWritten):
            owner = event.owner_id
            self._lines.extend((owner, at, text if text.endswith("\n") else text + "\n") for at, text in event.entries)


class JobLog:
    """Says of each job that it ended, how long it took, and why it failed: in the server's log, and in the consoles of
    its owner and of administrators. Mutable: when the jobs that run began.

    ``is_here``: whether this server tells it; of several, the one that leads does.
    """

    def __init__(self, bus: Bus, *, is_here: Callable[[], bool]) -> None:
        self._bus = bus
        self._is_here = is_here
        self._begun: dict[JobId, datetime] = {}
        bus.subscribe(self._hear)

    def _hear(self, event: Event) -> None:
        if isinstance(event, JobStarted):
            self._begun[event.job_id] = event.at
        elif isinstance(event, JobRequeued):
            self._begun.pop(event.job_id, None)
        elif isinstance(event, JobEnded):
            begun = self._begun.pop(event.job_id, None)
            if self._is_here():
                self._tell(event, begun)

    def _tell(self, event: JobEnded, begun: datetime | None) -> None:
        lines = end_lines(event, begun)
        level = logging.WARNING if event.state is JobState.FAILED else logging.INFO
        _jobs.log(level, "%s", "\n".join(lines))
        told = LogWritten(owner_id=event.owner_id, entries=[(event.at, f"{line}\n") for line in lines])
        asyncio.get_running_loop().call_soon(self._bus.publish, [told])


def end_lines(event: JobEnded, begun: datetime | None) -> list[str]:
    """What the log says of a job's end: a line, and the traceback of one that failed."""
    took = "before it began" if begun is None else f"after {(event.at - begun).total_seconds():.2f} s"
    first = f"job {shown_job_id(event.job_id)} {event.state.value} {took}"
    error = event.error
    if event.state is not JobState.FAILED or error is None:
        return [first]
    where = f" in node {error.node_id} ({error.node_type})" if error.node_id else ""
    trace = [line for text in error.traceback for line in text.rstrip("\n").split("\n")]
    return [f"{first}{where}: {error.exception_type}: {error.exception_message}", *trace]
