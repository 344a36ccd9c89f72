"""What runs at the moment, folded from events: enough to tell a client that connects in the middle of its job.

Knows nothing of sockets or of messages. A job is here from its start to its end, and while it waits for a retry.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from safelight.core.event import (
    Call,
    CallEvent,
    CallFinished,
    CallProgressed,
    CallReported,
    CallStarted,
    JobEnded,
    JobEvent,
    JobReattached,
    JobRequeued,
    JobStarted,
    OutputMade,
)
from safelight.core.ids import ClientId, JobId, UserId, shown_job_id

MAX_FINISHED = 64
"""Finished calls that ``progress_state`` goes on to name: with all of them a job of n calls would send n^2 entries.
The running ones are always named (WS-5)."""


@dataclass(frozen=True, slots=True)
class CallProgress:
    call: Call
    value: float = 0.0
    total: float = 1.0
    is_finished: bool = False


@dataclass(slots=True)
class LiveJob:
    """Mutable: the calls by id, the ones that were touched last at the end."""

    id: str
    """What its owner calls it."""
    owner_id: UserId
    client_id: ClientId | None
    is_started: bool = False
    current: Call | None = None
    calls: dict[str, CallProgress] = field(default_factory=dict)

    def feed(self, event: JobEvent) -> None:
        if isinstance(event, JobStarted):
            self.is_started, self.current = True, None
            self.calls.clear()
        elif isinstance(event, JobReattached):
            self._reattach(event)
        elif isinstance(event, CallReported):
            self._follow(event.event)

    def _follow(self, event: CallEvent) -> None:
        match event:
            case CallStarted(call):
                self.current = call
                self._touch(CallProgress(call))
            case CallProgressed(call, value, total):
                self._touch(CallProgress(call, value, total))
            case CallFinished(call):
                total = self.calls[call.id].total if call.id in self.calls else 1.0
                self._touch(CallProgress(call, total, total, is_finished=True))
                self._forget_oldest()
            case OutputMade(call) if call.id not in self.calls:
                self.current = None  # a cached output: its call was never started

    def _reattach(self, event: JobReattached) -> None:
        """Another server followed the job so far; this one may have heard of that."""
        if self.is_started:
            return
        self.is_started = True
        for call in event.finished:
            self._touch(CallProgress(call, 1.0, 1.0, is_finished=True))
        self._forget_oldest()
        for call in event.running:
            self.current = call
            self._touch(CallProgress(call))

    def _touch(self, progress: CallProgress) -> None:
        self.calls.pop(progress.call.id, None)
        self.calls[progress.call.id] = progress

    def _forget_oldest(self) -> None:
        finished = [call_id for call_id, progress in self.calls.items() if progress.is_finished]
        for call_id in finished[:-MAX_FINISHED]:
            del self.calls[call_id]


class LiveJobs:
    """Mutable: the live jobs by id."""

    def __init__(self) -> None:
        self._jobs: dict[JobId, LiveJob] = {}

    def feed(self, event: JobEvent) -> LiveJob:
        """The job with the event in it; for a job that is not live, one that has not started."""
        job = self._jobs.get(event.job_id) or LiveJob(shown_job_id(event.job_id), event.owner_id, event.client_id)
        if isinstance(event, JobStarted | JobReattached):
            self._jobs[event.job_id] = job
        elif isinstance(event, JobEnded | JobRequeued):
            self._jobs.pop(event.job_id, None)
        job.feed(event)
        return job

    def of(self, owner: UserId) -> Iterator[LiveJob]:
        return (job for job in self._jobs.values() if job.owner_id == owner)
