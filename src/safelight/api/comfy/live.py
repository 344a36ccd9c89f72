"""The state of the running jobs, built from events, for clients that connect in the middle of their job.

Does not know sockets or messages. A job is live from its start until it ends or is queued again.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from safelight.core.event import (
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
    NodeCall,
    OutputMade,
)
from safelight.core.ids import ClientId, JobId, UserId, shown_job_id

MAX_FINISHED = 64
"""Finished calls that ``progress_state`` still lists: with all of them, a job of n calls would send n^2 entries.
Running calls are always listed (WS-5)."""


@dataclass(frozen=True, slots=True)
class CallProgress:
    call: NodeCall
    value: float = 0.0
    total: float = 1.0
    is_finished: bool = False


@dataclass(slots=True)
class LiveJob:
    """Mutable: its calls by id, the most recently updated ones last."""

    id: str
    """The id that its owner uses."""
    owner_id: UserId
    client_id: ClientId | None
    is_started: bool = False
    current: NodeCall | None = None
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
        """Continue a job that another server followed; this server may have received its events already."""
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
        """Apply the event and return its job; for a job that is not live, one that has not started."""
        job = self._jobs.get(event.job_id) or LiveJob(shown_job_id(event.job_id), event.owner_id, event.client_id)
        if isinstance(event, JobStarted | JobReattached):
            self._jobs[event.job_id] = job
        elif isinstance(event, JobEnded | JobRequeued):
            self._jobs.pop(event.job_id, None)
        job.feed(event)
        return job

    def of(self, owner: UserId) -> Iterator[LiveJob]:
        return (job for job in self._jobs.values() if job.owner_id == owner)
