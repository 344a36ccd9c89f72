"""The latest lines of the server's log and of its workers, for the console of the web UI."""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from safelight.bus.bus import Bus
from safelight.core.event import Event, JobEnded, LogWritten
from safelight.core.ids import UserId, shown_job_id
from safelight.core.job import JobError, JobState
from safelight.core.kept_log import Line, with_break
from safelight.services.job_stages import QUEUED, JobStages

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

    def add_kept(self, lines: Iterable[tuple[UserId, Line]]) -> None:
        """Put lines of jobs from before the start, in the order of time, before all others."""
        before = [(owner, *line) for owner, line in lines]
        self._lines = deque((*before, *self._lines), maxlen=KEPT_LINES)

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
            self._lines.extend((owner, *with_break(line)) for line in event.entries)


class JobLog:
    """Logs the end of each job, how long its stages took and why it failed: in the server's log, and in the consoles of
    its owner and of administrators. Of several servers only the leader does."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def job_ended(self, event: JobEnded, stages: JobStages) -> None:
        lines = end_lines(event, stages)
        level = logging.WARNING if event.state is JobState.FAILED else logging.INFO
        _jobs.log(level, "%s", "\n".join(lines), extra=_fields(event, stages))
        written = LogWritten(event.owner_id, [(event.at, f"{line}\n") for line in lines], event.job_id)
        asyncio.get_running_loop().call_soon(self._bus.publish, [written])


def _fields(event: JobEnded, stages: JobStages) -> Mapping[str, Any]:
    """What a structured log has beside the text (``telemetry/log_format.py``)."""
    seconds = {f"{stage}_s": round(value, 3) for stage, value in stages.seconds.items()}
    about = {"job": shown_job_id(event.job_id), "user": event.owner_id, "attempt": stages.attempt, "slot": stages.slot}
    error = {"error": event.error.exception_type, "node": event.error.node_id} if event.error is not None else {}
    return {"fields": about | {"state": event.state.value} | seconds | error}


def end_lines(event: JobEnded, stages: JobStages) -> list[str]:
    """The log lines for the end of a job: a summary, and the traceback if it failed."""
    begun = [seconds for stage, seconds in stages.seconds.items() if stage != QUEUED]
    took = f"after {sum(begun):.2f} s" if begun else "before it began"
    if QUEUED in stages.seconds and begun:
        took += f" ({stages.seconds[QUEUED]:.2f} s in the queue)"
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
