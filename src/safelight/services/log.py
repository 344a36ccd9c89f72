"""The latest lines of the server's log and of its workers, for the console of the web UI."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from safelight.bus.bus import Bus
from safelight.core.event import Event, JobEnded, JobRequeued, JobStarted, LogWritten
from safelight.core.ids import JobId, UserId, shown_job_id
from safelight.core.job import JobError, JobState

KEPT_LINES = 2_000

_jobs = logging.getLogger("safelight.jobs")


class LogBuffer(logging.Handler):
    """Mutable: the last ``KEPT_LINES`` lines that were published on the bus. It is a handler of :mod:`logging` that
    publishes the server's own lines, from any thread; the dispatcher publishes the workers' lines."""

    def __init__(self, bus: Bus) -> None:
        super().__init__()
        self._bus = bus
        self._loop = asyncio.get_running_loop()
        self._lines: deque[tuple[UserId | None, datetime, str]] = deque(maxlen=KEPT_LINES)
        bus.subscribe(self._on_event)

    def entries(self, *, owner: UserId | None) -> Sequence[tuple[datetime, str]]:
        """The lines with their times, oldest first; each ends with a line break. ``owner``: only those of this user's
        jobs; ``None``: all."""
        return [(at, text) for of, at, text in self._lines if owner in (None, of)]

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == _jobs.name:
            return  # JobLog publishes it with its owner
        line = f"{record.levelname} {record.name}: {record.getMessage()}\n"
        event = LogWritten(owner_id=None, entries=[(datetime.fromtimestamp(record.created, UTC), line)])
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._bus.publish, [event])

    def _on_event(self, event: Event) -> None:
        if isinstance(event, LogWritten):
            owner = event.owner_id
            self._lines.extend((owner, at, text if text.endswith("\n") else text + "\n") for at, text in event.entries)


class JobLog:
    """Logs the end of each job, how long it took and why it failed: in the server's log, and in the consoles of its
    owner and of administrators. Mutable: the start times of running jobs.

    ``is_here``: whether this server logs; of several servers only the leader does.
    """

    def __init__(self, bus: Bus, *, is_here: Callable[[], bool]) -> None:
        self._bus = bus
        self._is_here = is_here
        self._begun: dict[JobId, datetime] = {}
        bus.subscribe(self._on_event)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, JobStarted):
            self._begun[event.job_id] = event.at
        elif isinstance(event, JobRequeued):
            self._begun.pop(event.job_id, None)
        elif isinstance(event, JobEnded):
            begun = self._begun.pop(event.job_id, None)
            if self._is_here():
                self._log(event, begun)

    def _log(self, event: JobEnded, begun: datetime | None) -> None:
        lines = end_lines(event, begun)
        level = logging.WARNING if event.state is JobState.FAILED else logging.INFO
        _jobs.log(level, "%s", "\n".join(lines))
        written = LogWritten(event.owner_id, [(event.at, f"{line}\n") for line in lines], event.job_id)
        asyncio.get_running_loop().call_soon(self._bus.publish, [written])


def end_lines(event: JobEnded, begun: datetime | None) -> list[str]:
    """The log lines for the end of a job: a summary, and the traceback if it failed."""
    took = "before it began" if begun is None else f"after {(event.at - begun).total_seconds():.2f} s"
    first = f"job {shown_job_id(event.job_id)} {event.state.value} {took}"
    error = event.error
    if event.state is not JobState.FAILED or error is None:
        return [first]
    where = f" in node {error.node_id} ({error.node_type})" if error.node_id else ""
    reason, *trace = error_lines(error)
    return [f"{first}{where}: {reason}", *trace]


def error_lines(error: JobError) -> list[str]:
    """The error in one line, and its traceback."""
    trace = [line for text in error.traceback for line in text.rstrip("\n").split("\n")]
    return [f"{error.exception_type}: {error.exception_message}", *trace]
