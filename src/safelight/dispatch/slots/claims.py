"""Claims jobs for idle slots, one at a time: a claim's effects follow its commit."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping

from safelight.core.clock import Clock
from safelight.core.ids import UserId
from safelight.core.job import JobSummary
from safelight.core.worker import SlotId
from safelight.db.engine import Database, Transaction
from safelight.dispatch.scheduling.affinity import Pick
from safelight.dispatch.scheduling.queue import SchedulerQueue
from safelight.dispatch.slots.registry import Slots
from safelight.dispatch.slots.slot import Slot
from safelight.dispatch.tasks import Tasks
from safelight.services import attempt as attempts
from safelight.services.attempt import Claim

log = logging.getLogger(__name__)

CLAIM_PAUSE_S = 0.5
"""Pause before the next try of a claim that failed."""


class Claims:
    """Mutable: the claim that waits for its commit, if there is one."""

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]],
        tasks: Tasks,
        queue: SchedulerQueue,
        slots: Slots,
        bindings: Callable[[], Mapping[UserId, SlotId]],
        begin: Callable[[Slot, Claim], None],
        on_claim: Callable[[float], None],
    ) -> None:
        """``bindings``: the slot of each user who is bound to one. ``begin``: the slot has got a job. ``on_claim``: is
        called with the seconds that each claim took."""
        self._db = db
        self._clock = clock
        self._sleep = sleep
        self._tasks = tasks
        self._queue = queue
        self._slots = slots
        self._bindings = bindings
        self._begin = begin
        self._on_claim = on_claim
        self._claiming: asyncio.Future[None] | None = None
        self._is_closed = False

    @property
    def current(self) -> "asyncio.Future[None] | None":
        """The claim that waits for its commit."""
        return self._claiming

    def close(self) -> None:
        """Claim no further jobs."""
        self._is_closed = True

    def request(self) -> None:
        """Claim a job for one idle slot, if a job waits for one. After the commit, the next slot follows."""
        if self._claiming is not None or self._is_closed or not self._slots.gates.starts_jobs:
            return
        views = self._slots.views(self._bindings())
        if self._queue.waiting(self._slots.idle.stopped):
            self._slots.idle.start_for_waiting()
        keys = self._queue.waiting(views)
        if not keys:
            return
        now, since_s = self._clock.now(), self._clock.monotonic_s()

        def claim(tx: Transaction) -> None:
            pick = Pick(None, None)

            def choose(jobs: Iterable[JobSummary]) -> JobSummary | None:
                nonlocal pick
                pick = self._queue.pick(jobs, views)
                return pick.job

            found = attempts.claim_next(tx, keys=keys, choose=choose, slot_of_choice=lambda: pick.slot, now=now)
            tx.after_commit(lambda: self._claimed(pick, found, since_s=since_s))

        # Not durable: a power cut that undoes a claim has ended this machine's engines too, and the job simply waits.
        self._claiming = self._db.enqueue(claim, is_durable=False)
        self._claiming.add_done_callback(self._ended)

    def _claimed(self, pick: Pick, claim: Claim, *, since_s: float) -> None:
        self._claiming = None
        self._on_claim(self._clock.monotonic_s() - since_s)
        self._queue.claimed(pick, claim)
        if claim.job is not None and pick.slot is not None:
            slot = self._slots[pick.slot]
            self._slots.idle.note_taken(slot.id)
            self._begin(slot, claim)
            self._slots.resume(slot)  # it may have been drained before the commit
        elif pick.passed:
            self._tasks.spawn(self._request_later(self._queue.wait_s(pick)))
        if claim.job is not None or claim.idle or claim.at_limit:
            self.request()

    async def _request_later(self, pause_s: float) -> None:
        """When users who prefer to wait for a busy slot have waited long enough."""
        await self._sleep(pause_s)
        self.request()

    def _ended(self, claim: "asyncio.Future[None]") -> None:
        if (error := claim.exception()) is not None:
            log.error("no job could be claimed", exc_info=error)
            self._tasks.spawn(self._retry())

    async def _retry(self) -> None:
        await self._sleep(CLAIM_PAUSE_S)
        self._claiming = None
        self.request()
