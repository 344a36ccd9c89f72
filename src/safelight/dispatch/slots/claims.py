"""Claims jobs for idle slots. A slot begins its job as soon as the claim is decided, while the disk is still written.

A claim is *decided* when its function has run in its transaction, and *confirmed* when that has been committed. Claims
are decided one at a time, since each depends on the last one; any number may wait for their commit, together with the
ends of the jobs before them. What may happen before the confirmation:

* The engine gets the job and works on it. Its messages stay in the slot's inbox, so that nobody hears of a job that has
  not started, and no write of the attempt can come before its claim.
* A commit that fails ends the attempt: its engine is killed, and the job, which never left the queue, is claimed again.
  Until the database says how it stands, no job is claimed: two attempts must not have the same fence.

Engines that may outlive this server (``Backend.detached_s``) get their job after the commit: another server could not
know of an attempt that the database does not have.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from safelight.core.clock import Clock
from safelight.core.ids import JobId, UserId
from safelight.core.job import JobSummary
from safelight.core.pool import QueueKey
from safelight.core.worker import SlotId
from safelight.db.engine import Database, Transaction
from safelight.dispatch.attempts.attempt import Attempt
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


@dataclass(slots=True, eq=False)
class _OpenClaim:
    """A claim that is not confirmed yet. Mutable: the attempt that has begun because of it."""

    since_s: float
    is_decided: bool = False
    slot: Slot | None = None
    attempt: Attempt | None = None


class Claims:
    """Mutable: the claims that wait for their commit. ``begins_early``: whether slots begin before it."""

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]],
        tasks: Tasks,
        queue: SchedulerQueue,
        slots: Slots,
        begins_early: bool,
        bindings: Callable[[], Mapping[UserId, SlotId]],
        begin: Callable[[Slot, Claim], Attempt],
        withdraw: Callable[[Slot, Attempt], Awaitable[None]],
        confirmed: Callable[[Slot], None],
        on_claim: Callable[[float], None],
        look_ahead: Callable[[Sequence[QueueKey]], None] | None = None,
    ) -> None:
        """``bindings``: the slot of each user who is bound to one. ``begin``: the slot has got a job. ``withdraw``: it
        must not have it; the result is awaited for what the database says. ``confirmed``: messages about the slot's job
        may be handled. ``on_claim``: is called with the seconds that each claim took. ``look_ahead``: is
        called with the keys that are next for slots that are busy."""
        self._db = db
        self._clock = clock
        self._sleep = sleep
        self._tasks = tasks
        self._queue = queue
        self._slots = slots
        self._begins_early = begins_early
        self._bindings = bindings
        self._begin = begin
        self._withdraw = withdraw
        self._confirmed = confirmed
        self._on_claim = on_claim
        self._look_ahead = look_ahead
        self._open: dict[_OpenClaim, asyncio.Future[None]] = {}
        self._unconfirmed: set[JobId] = set()  # decided and not confirmed; also read in the writer's thread
        self._is_deciding = False
        self._failures = 0  # failed claims that are not cleared up yet
        self._is_closed = False

    @property
    def are_open(self) -> bool:
        """Whether a claim waits for its commit."""
        return bool(self._open)

    async def settled(self) -> None:
        """Return when the claims that are open now have been committed, or have failed."""
        if self._open:
            await asyncio.wait([*self._open.values()])
            await asyncio.sleep(0)

    def close(self) -> None:
        """Claim no further jobs."""
        self._is_closed = True

    def request(self) -> None:
        """Claim a job for one idle slot, if a job waits for one. When it is decided, the next slot follows."""
        if self._is_deciding or self._failures or self._is_closed or not self._slots.gates.starts_jobs:
            return
        views = self._slots.views(self._bindings())
        if self._queue.waiting(self._slots.idle.stopped):
            self._slots.idle.start_for_waiting()
        keys = self._queue.waiting(views)
        if not keys:
            if self._look_ahead is not None:
                self._look_ahead(self._queue.waiting([replace(view, is_idle=True) for view in views]))
            return
        now, loop = self._clock.now(), asyncio.get_running_loop()
        opened = _OpenClaim(self._clock.monotonic_s())

        def claim(tx: Transaction) -> None:
            pick = Pick(None, None)

            def choose(jobs: Iterable[JobSummary]) -> JobSummary | None:
                nonlocal pick
                pick = self._queue.pick(filter(self._is_free, jobs), views)
                return pick.job

            found = attempts.claim_next(tx, keys=keys, choose=choose, slot_of_choice=lambda: pick.slot, now=now)
            if not self._begins_early:
                tx.after_commit(lambda: self._decided(opened, pick, found))
                return
            if found.job is not None:
                self._unconfirmed.add(found.job.id)
            loop.call_soon_threadsafe(self._decided, opened, pick, found)

        self._is_deciding = True
        # Not durable: a power cut that undoes a claim has ended this machine's engines too, and the job simply waits.
        self._open[opened] = future = self._db.enqueue(claim, is_durable=False)
        future.add_done_callback(lambda future: self._ended(opened, future.exception()))

    def _is_free(self, job: JobSummary) -> bool:
        """Runs in the writer's thread. Such a job is in the queue again only if its claim has failed."""
        return job.id not in self._unconfirmed

    def _decided(self, opened: _OpenClaim, pick: Pick, claim: Claim) -> None:
        self._is_deciding, opened.is_decided = False, True
        self._on_claim(self._clock.monotonic_s() - opened.since_s)
        self._queue.claimed(pick, claim)
        if claim.job is not None and pick.slot is not None:
            opened.slot = slot = self._slots[pick.slot]
            self._slots.idle.note_taken(slot.id)
            slot.is_unconfirmed = self._begins_early
            opened.attempt = self._begin(slot, claim)
            self._slots.resume(slot)  # it may have been drained before
        elif pick.passed:
            self._tasks.spawn(self._request_later(self._queue.wait_s(pick)))
        if claim.job is not None or claim.idle or claim.at_limit:
            self.request()

    async def _request_later(self, pause_s: float) -> None:
        """When users who prefer to wait for a busy slot have waited long enough."""
        await self._sleep(pause_s)
        self.request()

    def _ended(self, opened: _OpenClaim, error: BaseException | None) -> None:
        """The transaction was committed, and its events are published; or it has failed."""
        del self._open[opened]
        if error is not None:
            self._failed(opened, error)
            return
        if opened.slot is not None and opened.attempt is not None and self._begins_early:
            self._unconfirmed.discard(opened.attempt.job_id)
            opened.slot.is_unconfirmed = False
            self._confirmed(opened.slot)

    def _failed(self, opened: _OpenClaim, error: BaseException) -> None:
        log.error("no job could be claimed", exc_info=error)
        if self._is_closed:
            return
        self._failures += 1
        withdrawn = None
        if not opened.is_decided:
            self._is_deciding = False
        elif opened.slot is not None and opened.attempt is not None:
            opened.slot.is_unconfirmed = False
            withdrawn = self._withdraw(opened.slot, opened.attempt)
            self._confirmed(opened.slot)
        self._tasks.spawn(self._retry(opened.attempt, withdrawn))

    async def _retry(self, attempt: Attempt | None, withdrawn: Awaitable[None] | None) -> None:
        if attempt is not None and withdrawn is not None:
            await withdrawn
            self._queue.add(attempt.job.summary.queue_key)
            self._unconfirmed.discard(attempt.job_id)
        await self._sleep(CLAIM_PAUSE_S)
        self._failures -= 1
        self.request()
