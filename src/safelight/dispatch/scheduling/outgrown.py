"""Jobs that ran out of memory on a device: they are retried on a larger one, if there is one.

Mutable state in the memory of the server that leads: after its restart, such a job may be retried anywhere.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from safelight.core.ids import JobId
from safelight.core.job import JobSummary
from safelight.core.pool import fits
from safelight.dispatch.scheduling.affinity import SlotView


@dataclass(frozen=True, slots=True)
class _Outgrown:
    """``memory``: of the largest device on which the job ran out of it, in bytes."""

    job: JobSummary
    memory: int


class OutgrownJobs:
    """Mutable: the jobs that ran out of memory and have not ended."""

    def __init__(self) -> None:
        self._jobs: dict[JobId, _Outgrown] = {}

    def add(self, job: JobSummary, *, memory: int) -> None:
        """``memory``: of the device on which the job ran out of it; 0 if it is not known."""
        before = self._jobs.get(job.id)
        if memory:
            self._jobs[job.id] = _Outgrown(job, max(memory, before.memory if before else 0))

    def forget(self, job_id: JobId) -> None:
        self._jobs.pop(job_id, None)

    def too_small(self, slots: Iterable[SlotView]) -> Mapping[JobId, frozenset[str]]:
        """For each such job, the slots that must not run it: all but those with a larger device, if any slot that takes
        jobs has one. ``slots``: those that take jobs, busy or not."""
        if not self._jobs:
            return {}
        known = list(slots)
        found: dict[JobId, frozenset[str]] = {}
        for job_id, one in self._jobs.items():
            larger = {slot.slot for slot in known if slot.memory > one.memory and fits(one.job.requirements, slot.has)}
            if larger:
                found[job_id] = frozenset(slot.slot for slot in known) - larger
        return found
