"""Idle scale-down: a slot without work gives up its engine, and with it memory, a device and a place in the cluster;
waiting jobs start it again.

*running* -> idle for ``idle_timeout_s``, and more than ``min_running`` slots run -> *stopped* -> a job waits for which
no other slot is free or starting -> *running*, with an engine that starts.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace

from safelight.core.clock import Clock
from safelight.core.engine_kind import EngineKind
from safelight.core.worker import SlotId
from safelight.db.engine import Database
from safelight.dispatch.backend import Backend
from safelight.dispatch.scheduling.affinity import SlotView
from safelight.dispatch.scheduling.slots_to_start import slots_to_start
from safelight.dispatch.slots.slot import Slot
from safelight.dispatch.tasks import Tasks
from safelight.services import attempt as attempts

_CHECK_S = 10.0
"""Until the next check of a slot that must not stop yet."""


class IdleScaler:
    """Mutable: which slots are stopped, and whether waiting jobs are being counted."""

    def __init__(
        self,
        slots: Collection[Slot],
        *,
        db: Database,
        backend: Backend,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]],
        tasks: Tasks,
        idle_timeout_s: float,
        min_running: int,
        is_open: Callable[[SlotId], bool],
        may_stop: Callable[[], bool],
    ) -> None:
        """``idle_timeout_s``: 0 means that slots never stop. ``min_running``: minimum number of slots kept running.
        ``is_open``: whether a slot's gate is open. ``may_stop``: false while a claim may send a job to any slot."""
        self._slots = slots
        self._db = db
        self._backend = backend
        self._clock = clock
        self._sleep = sleep
        self._tasks = tasks
        self._idle_timeout_s = idle_timeout_s
        self._min_running = min_running
        self._is_open = is_open
        self._may_stop = may_stop
        self._is_counting = False
        self._must_count = False
        self._taken: set[SlotId] = set()  # slots that got a job since the waiting jobs were last counted

    def begin(self) -> None:
        """The backend has just started: stop all slots but ``min_running`` and one of each engine kind, which reports
        its nodes."""
        if not self._idle_timeout_s:
            return
        kinds: set[EngineKind] = set()
        for count, slot in enumerate(self._slots):
            if count >= self._min_running and slot.has.engine in kinds:
                self._stop(slot)
            kinds.add(slot.has.engine)

    def note_free(self, slot: Slot) -> None:
        """The slot has no work from now on: stop it when it has been idle for long enough."""
        if not slot.is_free:
            return
        slot.idle_since_s = self._clock.monotonic_s()
        if self._idle_timeout_s > 0 and (slot.idle_watch is None or slot.idle_watch.done()):
            slot.idle_watch = self._tasks.spawn(self._watch(slot))

    def note_taken(self, slot: SlotId) -> None:
        """The slot got a job."""
        self._taken.add(slot)

    @property
    def stopped(self) -> Sequence[SlotView]:
        """The stopped slots, as if they were idle."""
        return [SlotView(slot.id, slot.has, frozenset(), True) for slot in self._slots if slot.is_stopped]

    def start_for_waiting(self) -> None:
        """Start as many stopped slots as there are waiting jobs for them."""
        self._must_count = True
        if not self._is_counting:
            self._is_counting = True
            self._tasks.spawn(self._count_and_start())

    async def _count_and_start(self) -> None:
        """A job may be claimed while the jobs are counted, and then needs no other slot. The count is repeated if a job
        arrived or was claimed meanwhile."""
        try:
            while self._must_count or self._taken:
                self._must_count = False
                self._taken.clear()
                waiting = await self._db.read(attempts.depths)
                free = [slot.has for slot in self._slots if self._will_take_a_job(slot)]
                stopped = [slot for slot in self._slots if slot.is_stopped and self._is_open(slot.id)]
                offered = {slot.id: slot.has for slot in sorted(stopped, key=lambda slot: slot.rank)}
                to_start = set(slots_to_start(waiting, free=free, stopped=offered))
                for slot in stopped:
                    if slot.id in to_start:
                        self._start(slot)
        finally:
            self._is_counting = False

    def _will_take_a_job(self, slot: Slot) -> bool:
        """Whether the slot is free or starting, or has taken a job that may be among those that were counted."""
        is_available = self._is_open(slot.id) and not slot.is_stopped and slot.attempt is None and not slot.is_drained
        return slot.id in self._taken or is_available

    async def _watch(self, slot: Slot) -> None:
        while slot.is_free:
            left_s = slot.idle_since_s + self._idle_timeout_s - self._clock.monotonic_s()
            if left_s <= 0 and self._may_stop() and self._is_open(slot.id) and self._has_spare():
                self._stop(slot)
            else:
                await self._sleep(left_s if left_s > 0 else min(self._idle_timeout_s, _CHECK_S))

    def _has_spare(self) -> bool:
        return sum(not slot.is_stopped and not slot.is_drained for slot in self._slots) > self._min_running

    def _start(self, slot: Slot) -> None:
        slot.is_stopped = False
        if not slot.is_drained:
            self._backend.resume(slot.id)

    def _stop(self, slot: Slot) -> None:
        slot.is_stopped = True
        if slot.info is not None:
            slot.info = replace(slot.info, warm_models=())
        self._backend.drain(slot.id, f"the slot was idle for {self._idle_timeout_s:g} s")
