"""How long each stage of a job took, from the events of the bus.

A job is *queued* until a slot claims it, *preparing* until its engine reports the first call (its files are fetched
meanwhile, and its engine may still start), and *running* until it ends.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from safelight.bus.bus import Bus
from safelight.core.event import CallReported, Event, JobEnded, JobEvent, JobQueued, JobRequeued, JobStarted
from safelight.core.ids import JobId
from safelight.core.pool import ANY, Pool

QUEUED, PREPARING, RUNNING = "queued", "preparing", "running"


@dataclass(frozen=True, slots=True)
class JobStages:
    """The stages of a job that has ended. ``seconds``: of each stage that this server saw from its begin to its end, in
    their order; of a job that was retried, those of the last attempt. ``attempt`` and ``slot``: 0 and empty for a job
    that no slot has claimed."""

    seconds: Mapping[str, float] = field(default_factory=dict)
    attempt: int = 0
    slot: str = ""
    pool: Pool = ANY


OnEnd = Callable[[JobEnded, JobStages], None]


@dataclass(slots=True)
class _Times:
    queued_at: datetime | None = None
    started_at: datetime | None = None
    running_at: datetime | None = None
    attempt: int = 0
    slot: str = ""
    pool: Pool = ANY

    def stages(self, ended_at: datetime) -> JobStages:
        points = {QUEUED: self.queued_at, PREPARING: self.started_at, RUNNING: self.running_at}
        known = [(stage, at) for stage, at in points.items() if at is not None]
        ends = [at for _, at in known[1:]] + [ended_at]
        seconds = {stage: (end - at).total_seconds() for (stage, at), end in zip(known, ends, strict=False)}
        return JobStages(seconds, self.attempt, self.slot, self.pool)


class JobStageClock:
    """Mutable: the times of jobs that have not ended. ``on_end`` is called once for each job that ends."""

    def __init__(self, bus: Bus, *, on_end: OnEnd) -> None:
        self._on_end = on_end
        self._times: dict[JobId, _Times] = {}
        bus.subscribe(self._on_event)

    def _on_event(self, event: Event) -> None:
        if not isinstance(event, JobEvent):
            return
        times = self._times.get(event.job_id)
        match event:
            case JobQueued():
                self._times[event.job_id] = _Times(queued_at=event.at, pool=event.pool)
            case JobStarted():
                times = self._times.setdefault(event.job_id, _Times())
                times.started_at, times.attempt, times.slot = event.at, event.attempt, event.slot
            case JobRequeued():
                self._times[event.job_id] = _Times(queued_at=event.at, pool=event.pool)
            case CallReported() if times is not None and times.running_at is None:
                times.running_at = event.at
            case JobEnded():
                self._times.pop(event.job_id, None)
                self._on_end(event, (times or _Times()).stages(event.at))
