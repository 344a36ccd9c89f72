"""The queue as the scheduler sees it: whose job is next (``fairness.py``), on which slot (``affinity.py``), and which
users are at their concurrency limit."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy

from safelight.core.clock import Clock
from safelight.core.ids import JobId, UserId
from safelight.core.job import JobSummary
from safelight.core.pool import QueueKey, fits
from safelight.core.worker import SlotId
from safelight.dispatch.scheduling.affinity import Affinity, Pick, SlotView
from safelight.dispatch.scheduling.fairness import FairQueue
from safelight.dispatch.scheduling.forecast import Forecast, ForecastSlot, forecast
from safelight.services.attempt import Claim


class SchedulerQueue:
    """Mutable: the keys with waiting jobs, which user runs on which slot, and the users at their limit."""

    def __init__(
        self, clock: Clock, *, affinity_wait_s: float, needs: Callable[[JobSummary], int] = lambda job: 0
    ) -> None:
        """``needs``: see :class:`Affinity`."""
        self._clock = clock
        self._fair = FairQueue()
        self._affinity = Affinity(max_wait_s=affinity_wait_s, needs=needs)
        self._at_limit: dict[UserId, set[QueueKey]] = {}

    def add(self, key: QueueKey) -> None:
        """A job of ``key`` waits."""
        if self._fair.add(key, now_s=self._clock.monotonic_s()):
            self._affinity.add(key.owner_id)

    def waiting(self, slots: Iterable[SlotView]) -> Sequence[QueueKey]:
        """The keys with a job that waits for one of the idle ``slots``, the next first."""
        idle = [slot.has for slot in slots if slot.is_idle]
        order = self._fair.order(now_s=self._clock.monotonic_s()) if idle else ()
        return [key for key in order if any(fits(key.requirements, has) for has in idle)]

    def pick(self, jobs: Iterable[JobSummary], slots: Sequence[SlotView]) -> Pick:
        return self._affinity.pick(jobs, slots, now_s=self._clock.monotonic_s())

    def claimed(self, pick: Pick, claim: Claim) -> None:
        """Follow what a claim found and did."""
        for key in (*claim.idle, *claim.at_limit):
            self._remove(key)
        for key in claim.at_limit:
            self._at_limit.setdefault(key.owner_id, set()).add(key)
        self._affinity.note(pick, now_s=self._clock.monotonic_s())
        if claim.job is not None and pick.slot is not None:
            job = claim.job.summary
            self.started(pick.slot, job.owner_id, job.id, weight=claim.weight)
            if not claim.has_more:
                self._remove(job.queue_key)

    def started(self, slot: SlotId, owner: UserId, job_id: JobId, *, weight: float) -> None:
        """The job runs on the slot."""
        self._fair.start(owner, job_id, now_s=self._clock.monotonic_s(), weight=weight)
        self._affinity.start(owner, slot)

    def left_slot(self, slot: SlotId, owner: UserId, job_id: JobId) -> None:
        """The job runs on the slot no longer, whatever its outcome."""
        self._fair.end(owner, job_id, now_s=self._clock.monotonic_s())
        self._affinity.end(owner, slot)

    def ended(self, owner: UserId) -> bool:
        """A job of the owner's has ended. Return whether more of their jobs may start now."""
        keys = self._at_limit.pop(owner, set())
        for key in keys:
            self.add(key)
        return bool(keys)

    def forecast(
        self,
        slots: Sequence[ForecastSlot],
        *,
        depths: Mapping[QueueKey, int],
        key: QueueKey,
        ahead: int,
        run_s: float | None,
    ) -> Forecast | None:
        """When the job behind ``ahead`` others of ``key`` will start; see ``forecast.py``."""
        return forecast(
            deepcopy(self._fair),
            slots,
            depths=depths,
            key=key,
            ahead=ahead,
            run_s=run_s,
            at_limit=self._at_limit,
            now_s=self._clock.monotonic_s(),
        )

    def wait_s(self, pick: Pick) -> float:
        """Seconds until the first user that a pick passed over must be served, if the pick started nothing."""
        return self._affinity.wait_s(pick.passed, now_s=self._clock.monotonic_s())

    def _remove(self, key: QueueKey) -> None:
        if self._fair.remove(key):
            self._affinity.remove(key.owner_id)
