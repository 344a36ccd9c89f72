"""Those who wait: whose turn it is (``fairness.py``), on which slot (``affinity.py``), and who must wait for an end of
a job of their own before the next may start."""

from collections.abc import Iterable, Sequence

from safelight.core.clock import Clock
from safelight.core.ids import JobId, UserId
from safelight.core.job import JobSummary
from safelight.core.pool import QueueKey, fits
from safelight.core.worker import SlotId
from safelight.dispatch.scheduling.affinity import Affinity, Pick, SlotView
from safelight.dispatch.scheduling.fairness import FairQueue
from safelight.services.attempt import Claim


class SchedulerQueue:
    """Mutable: who waits, who runs where, who is held."""

    def __init__(self, clock: Clock, *, affinity_wait_s: float) -> None:
        self._clock = clock
        self._turns = FairQueue()
        self._affinity = Affinity(wait_s=affinity_wait_s)
        self._held: dict[UserId, set[QueueKey]] = {}

    def wait(self, lane: QueueKey) -> None:
        """A job of the lane waits."""
        if self._turns.wait(lane, now_s=self._clock.monotonic_s()):
            self._affinity.wait(lane.owner_id)

    def lanes(self, places: Iterable[SlotView]) -> Sequence[QueueKey]:
        """Those that wait for one of ``places``, the next first."""
        labels = [place.labels for place in places if place.is_idle]
        order = self._turns.order(now_s=self._clock.monotonic_s()) if labels else ()
        return [lane for lane in order if any(fits(lane.pool, one) for one in labels)]

    def pick(self, line: Iterable[JobSummary], places: Sequence[SlotView]) -> Pick:
        return self._affinity.pick(line, places, now_s=self._clock.monotonic_s())

    def claimed(self, pick: Pick, claim: Claim) -> None:
        """Follow what a claim found and did."""
        for lane in (*claim.idle, *claim.at_limit):
            self._rest(lane)
        for lane in claim.at_limit:
            self._held.setdefault(lane.owner_id, set()).add(lane)
        self._affinity.note(pick, now_s=self._clock.monotonic_s())
        if claim.job is not None and pick.slot is not None:
            job = claim.job.summary
            self.resumed(pick.slot, job.owner_id, job.id, weight=claim.weight)
            if not claim.has_more:
                self._rest(QueueKey(job.owner_id, job.pool))

    def resumed(self, slot: SlotId, owner: UserId, job_id: JobId, *, weight: float) -> None:
        """The job runs on the slot since an earlier server claimed it."""
        self._turns.start(owner, job_id, now_s=self._clock.monotonic_s(), weight=weight)
        self._affinity.start(owner, slot)

    def left(self, slot: SlotId, owner: UserId, job_id: JobId) -> None:
        """The job has left its slot, however it ended."""
        self._turns.end(owner, job_id, now_s=self._clock.monotonic_s())
        self._affinity.end(owner, slot)

    def ended(self, owner: UserId) -> bool:
        """A job of the owner's has ended. Whether that lets jobs of theirs wait again."""
        lanes = self._held.pop(owner, set())
        for lane in lanes:
            self.wait(lane)
        return bool(lanes)

    def patience_s(self, pick: Pick) -> float:
        """When to ask again for those whom a pick passed although it started nothing."""
        return self._affinity.patience_s(pick.passed, now_s=self._clock.monotonic_s())

    def _rest(self, lane: QueueKey) -> None:
        if self._turns.rest(lane):
            self._affinity.rest(lane.owner_id)
