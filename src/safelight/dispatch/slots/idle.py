"""Slots that have nothing to do give up their engine, and with it memory, a device, a place in the cluster; jobs that
wait wake them.

*awake* -> idle for long enough, and not one of those that are to stay -> *asleep* -> a job waits that no other slot is
free or starting for -> *awake*, with an engine that starts.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace

from safelight.core.clock import Clock
from safelight.core.pool import ANY, Pool
from safelight.core.worker import SlotId
from safelight.dispatch.backend import Backend
from safelight.dispatch.scheduling.affinity import SlotView
from safelight.dispatch.slots.slot import Slot

_AGAIN_S = 10.0
"""Until the next look at one that may not sleep at the moment."""


class IdleScaler:
    """Mutable: which of the slots sleep. ``idle_s``: 0, and none does. ``stay``: so many slots never do."""

    def __init__(
        self,
        slots: Collection[Slot],
        *,
        backend: Backend,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]],
        idle_s: float,
        stay: int,
    ) -> None:
        self._slots = slots
        self._backend = backend
        self._clock = clock
        self._sleep = sleep
        self._idle_s = idle_s
        self._stay = stay

    def begin(self) -> None:
        """Of a backend that has just started, one slot is enough to tell what nodes there are."""
        if self._idle_s:
            for slot in list(self._slots)[max(self._stay, 1) :]:
                self._put_to_sleep(slot)

    @property
    def places(self) -> Sequence[SlotView]:
        """Those that sleep, as if they were idle."""
        return [SlotView(slot.id, slot.labels, frozenset(), True) for slot in self._slots if slot.is_asleep]

    def note_free(self, slot: Slot) -> bool:
        """The slot has nothing to do from now on. Whether somebody must :meth:`follow` it."""
        slot.idle_since_s = self._clock.monotonic_s()
        return self._idle_s > 0 and (slot.dozing is None or slot.dozing.done())

    async def follow(self, slot: Slot, *, may_sleep: Callable[[], bool]) -> None:
        """Until the slot has something to do, or sleeps. ``may_sleep``: no job is about to come to it, and no gate has
        it stay as it is."""
        while slot.is_free:
            left_s = slot.idle_since_s + self._idle_s - self._clock.monotonic_s()
            if left_s <= 0 and may_sleep() and self._has_spare():
                self._put_to_sleep(slot)
            else:
                await self._sleep(left_s if left_s > 0 else min(self._idle_s, _AGAIN_S))

    def wake(
        self, waiting: Mapping[Pool, int], *, taken: Collection[SlotId], is_open: Callable[[SlotId], bool]
    ) -> None:
        """``waiting``: how many jobs, by pool. ``taken``: the slots that got a job since those were counted, which may
        be one of them."""
        coming = [
            slot.labels
            for slot in self._slots
            if slot.id in taken
            or (is_open(slot.id) and not slot.is_asleep and slot.run is None and not slot.is_retired)
        ]
        asleep = {slot.id: slot for slot in self._slots if slot.is_asleep and is_open(slot.id)}
        for slot_id in slots_to_start(
            waiting, coming=coming, asleep={key: slot.labels for key, slot in asleep.items()}
        ):
            slot = asleep[slot_id]
            slot.is_asleep = False
            if not slot.is_retired:
                self._backend.restore(slot_id)

    def _has_spare(self) -> bool:
        return sum(not slot.is_asleep and not slot.is_retired for slot in self._slots) > self._stay

    def _put_to_sleep(self, slot: Slot) -> None:
        slot.is_asleep = True
        if slot.info is not None:
            slot.info = replace(slot.info, warm_models=())
        self._backend.retire(slot.id, f"it had nothing to do for {self._idle_s:g} s")


def slots_to_start(
    waiting: Mapping[Pool, int], *, coming: Sequence[frozenset[Pool]], asleep: Mapping[SlotId, frozenset[Pool]]
) -> Sequence[SlotId]:
    """Which slots to wake so that each job that waits has one. ``coming``: the labels of those that are about to take
    one; a slot takes a job of one of its labels before one that any may run."""
    left = dict(waiting)
    for labels in coming:
        _take(left, labels)
    return [slot for slot, labels in asleep.items() if _take(left, labels)]


def _take(left: dict[Pool, int], labels: frozenset[Pool]) -> bool:
    for pool in (*sorted(labels), ANY):
        if left.get(pool, 0) > 0:
            left[pool] -= 1
            return True
    return False
