"""The spans of jobs, from the events of the bus: a job, its time in the queue, its attempts, and their calls.

The spans of a job are made when it has ended, a moment later and in the background. The request that submitted it is
their parent, as long as this server was running at the submission.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from safelight.bus.bus import Bus
from safelight.core.errors import SafelightError
from safelight.core.event import (
    CallBlocked,
    CallFinished,
    CallReported,
    CallsCached,
    CallStarted,
    Event,
    JobEnded,
    JobEvent,
    JobQueued,
    JobRequeued,
    JobStarted,
    NodeCall,
    OutputMade,
)
from safelight.core.ids import JobId, UserId, shown_job_id
from safelight.core.job import JobState
from safelight.core.user import Principal
from safelight.db.engine import Database
from safelight.services import job as jobs
from safelight.telemetry.traces import Attributes, Traces

log = logging.getLogger(__name__)

MOST_CALLS = 1_000
"""Spans of calls for one attempt; calls beyond them have none."""
MOST_WAITING = 1_000
"""Jobs whose spans are not made yet; those of more are dropped."""


@dataclass(slots=True)
class _Call:
    call: NodeCall
    begin: datetime
    end: datetime | None = None
    outputs: int = 0


@dataclass(slots=True)
class _Attempt:
    """Mutable: ``running_at``: the first report of the engine; ``last_call_at``: the end of the last call."""

    number: int
    slot: str
    begin: datetime
    running_at: datetime | None = None
    last_call_at: datetime | None = None
    end: datetime | None = None
    lost: str = ""
    cached: int = 0
    calls: dict[str, _Call] = field(default_factory=dict)


@dataclass(slots=True)
class _Job:
    """Mutable: what is known of a job so far. ``waits``: when it entered and left the queue."""

    traceparent: str
    begin: datetime
    waits: list[tuple[datetime, datetime | None]] = field(default_factory=list)
    attempts: list[_Attempt] = field(default_factory=list)


class JobTraces:
    """Mutable: the jobs that have not ended, and those whose spans are not made yet. ``is_leader``: whether this server
    has the queue; of several servers, only that one makes spans of jobs."""

    def __init__(self, traces: Traces, db: Database, bus: Bus, *, is_leader: Callable[[], bool]) -> None:
        self._traces = traces
        self._db = db
        self._is_leader = is_leader
        self._jobs: dict[JobId, _Job] = {}
        self._ended: deque[tuple[_Job, JobEnded]] = deque(maxlen=MOST_WAITING)
        self._has_some = asyncio.Event()
        self._unsubscribe = bus.subscribe(self._on_event)

    async def follow(self) -> None:
        """Run forever: make the spans of jobs that have ended."""
        while True:
            await self._has_some.wait()
            self._has_some.clear()
            await self.make_all()

    async def make_all(self) -> None:
        """Make the spans of the jobs that have ended."""
        while self._ended:
            job, event = self._ended.popleft()
            types = await self._node_types(event.owner_id, event.job_id)
            self._make(job, event, types)

    async def stop(self) -> None:
        """Make the spans that wait, and send all."""
        self._unsubscribe()
        await self.make_all()
        await asyncio.to_thread(self._traces.stop)

    async def _node_types(self, owner_id: UserId, job_id: JobId) -> Mapping[str, str]:
        """The node type of each call of the prompt."""
        try:
            job = await self._db.read(lambda tx: jobs.get(tx, Principal(owner_id), job_id=shown_job_id(job_id)))
        except SafelightError as error:
            log.info("the node types of job %s are not known: %s", job_id, error)
            return {}
        return {call_id: str(node.get("class_type", "")) for call_id, node in job.prompt.items()}

    def _on_event(self, event: Event) -> None:
        if not isinstance(event, JobEvent):
            return
        job = self._jobs.get(event.job_id)
        match event:
            case JobQueued():
                self._jobs[event.job_id] = _Job(event.traceparent, event.at, waits=[(event.at, None)])
            case JobStarted():
                job = self._jobs.setdefault(event.job_id, _Job("", event.at))
                _leave_queue(job, event.at)
                job.attempts.append(_Attempt(event.attempt, event.slot, event.at))
            case JobRequeued() if job is not None:
                if job.attempts:
                    job.attempts[-1].end, job.attempts[-1].lost = event.at, event.reason
                job.waits.append((event.at, None))
            case CallReported() if job is not None and job.attempts:
                _note(job.attempts[-1], event)
            case JobEnded():
                self._jobs.pop(event.job_id, None)
                if job is not None and self._is_leader():
                    _leave_queue(job, event.at)
                    self._ended.append((job, event))
                    self._has_some.set()

    def _make(self, job: _Job, event: JobEnded, types: Mapping[str, str]) -> None:
        add, is_failed = self._traces.add, event.state is JobState.FAILED
        error = event.error.exception_type if is_failed and event.error is not None else ""
        about = {"safelight.job": shown_job_id(event.job_id), "safelight.state": event.state.value}
        whole = add("job", parent=job.traceparent, begin=job.begin, end=event.at, attributes=about, error=error)
        for begin, end in job.waits:
            add("queued", parent=whole, begin=begin, end=end or event.at)
        for attempt in job.attempts:
            end = attempt.end or event.at
            failed = attempt.lost or (error if attempt is job.attempts[-1] else "")
            of: Attributes = {"safelight.attempt": attempt.number, "safelight.slot": attempt.slot}
            tried = add("attempt", parent=whole, begin=attempt.begin, end=end, attributes=of, error=failed)
            running_at = attempt.running_at or end
            add("preparing", parent=tried, begin=attempt.begin, end=running_at)
            if attempt.running_at is None:
                continue
            called_until = attempt.last_call_at or running_at
            cached = {"safelight.cached_calls": attempt.cached}
            running = add("running", parent=tried, begin=running_at, end=called_until, attributes=cached)
            for made in attempt.calls.values():
                node_type = types.get(made.call.real_id) or types.get(made.call.display_id, "")
                add(
                    node_type or "node",
                    parent=running,
                    begin=made.begin,
                    end=made.end or end,
                    attributes={
                        "safelight.node": made.call.id,
                        "safelight.node_type": node_type,
                        "safelight.outputs": made.outputs,
                    },
                    error="" if made.end or not is_failed else error,
                )
            add("finishing", parent=tried, begin=called_until, end=end)


def _leave_queue(job: _Job, at: datetime) -> None:
    if job.waits and job.waits[-1][1] is None:
        job.waits[-1] = (job.waits[-1][0], at)


def _note(attempt: _Attempt, reported: CallReported) -> None:
    attempt.running_at = attempt.running_at or reported.at
    match reported.event:
        case CallsCached(call_ids=call_ids):
            attempt.cached = len(call_ids)
        case CallStarted(call=call) if len(attempt.calls) < MOST_CALLS:
            attempt.calls.setdefault(call.id, _Call(call, reported.at))
        case CallFinished(call=call) | CallBlocked(call=call):
            attempt.last_call_at = reported.at
            if call.id in attempt.calls:
                attempt.calls[call.id].end = reported.at
        case OutputMade(call=call) if call.id in attempt.calls:
            attempt.calls[call.id].outputs += 1
