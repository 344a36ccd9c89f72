"""How far each running job is, from the events of its calls: a number that never falls, and what runs now.

Every server follows all jobs, so any of them can answer. A server that joins in the middle of a job begins with the
next event of that job.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from safelight.core.event import (
    CallEvent,
    CallFinished,
    CallProgressed,
    CallReported,
    CallsCached,
    CallStarted,
    JobEnded,
    JobEvent,
    JobReattached,
    NodeCall,
)
from safelight.core.ids import JobId

MAX_JOBS = 5000
"""Jobs whose progress is kept: far more than can run at once."""


@dataclass(frozen=True, slots=True)
class Progress:
    """``value``: 0 to 1. ``step`` of ``steps``: of the call that reported last, if it counts its steps."""

    value: float
    nodes_done: int
    nodes_total: int
    current_node: str | None = None
    step: int | None = None
    steps: int | None = None


@dataclass(slots=True)
class _Job:
    """Mutable: the calls that are done and those that run, with the part of each that is done; the highest value so
    far, which survives a second attempt."""

    done: set[str] = field(default_factory=set)
    parts: dict[str, float] = field(default_factory=dict)
    current: NodeCall | None = None
    step: tuple[int, int] | None = None
    highest: float = 0.0


class LiveProgress:
    """Mutable: the running jobs by id."""

    def __init__(self) -> None:
        self._jobs: dict[JobId, _Job] = {}

    def feed(self, event: JobEvent) -> None:
        if isinstance(event, JobEnded):
            self._jobs.pop(event.job_id, None)
        elif isinstance(event, CallReported):
            _follow(self._jobs.setdefault(event.job_id, _Job()), event.event)
            while len(self._jobs) > MAX_JOBS:  # an event may come after the end of its job
                del self._jobs[next(iter(self._jobs))]
        elif isinstance(event, JobReattached):
            job = self._jobs.setdefault(event.job_id, _Job())
            job.done |= {call.id for call in event.finished}
            for call in event.running:
                _follow(job, CallStarted(call))

    def of(self, job_id: JobId, *, nodes: int | None) -> Progress | None:
        """``nodes``: of the job's graph. ``None`` where nothing is known."""
        job = self._jobs.get(job_id)
        if job is None or not nodes:
            return None
        done = min(len(job.done), nodes)
        running = sum(part for call_id, part in job.parts.items() if call_id not in job.done)
        job.highest = max(job.highest, min((done + running) / nodes, 1.0))
        step, steps = job.step or (None, None)
        current = job.current.display_id if job.current is not None else None
        return Progress(job.highest, done, nodes, current, step, steps)


def progress_json(progress: Progress, classes: Mapping[str, str]) -> dict[str, Any]:
    """``classes``: the class of each node, as far as known."""
    return {
        "value": progress.value,
        "nodes_done": progress.nodes_done,
        "nodes_total": progress.nodes_total,
        "current_node": progress.current_node,
        "current_node_class": classes.get(progress.current_node) if progress.current_node is not None else None,
        "step": progress.step,
        "steps": progress.steps,
        "message": None,
    }


def _follow(job: _Job, event: CallEvent) -> None:
    """Calls of expanded nodes, whose ids are not in the graph, count with the node that the user sees."""
    match event:
        case CallsCached(call_ids):
            job.done, job.parts = set(call_ids), {}
        case CallStarted(call):
            job.current, job.step = call, None
        case CallProgressed(call, value, total) if total > 0:
            job.current, job.step = call, (int(value), int(total))
            if call.id == call.display_id:
                job.parts[call.id] = min(max(value / total, 0.0), 1.0)
        case CallFinished(call):
            if call.id == call.display_id:
                job.done.add(call.id)
                job.parts.pop(call.id, None)
