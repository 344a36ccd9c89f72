"""All slots of the dispatcher: which are open, drained, shut or stopped, and what their engines last reported."""

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from safelight.core.clock import Clock
from safelight.core.engine_kind import OWN, EngineKind
from safelight.core.gate import Gates
from safelight.core.ids import UserId
from safelight.core.pack import PackStatus, pack_statuses
from safelight.core.pool import Capabilities, Pool
from safelight.core.worker import EngineInfo, SlotGate, SlotId, SlotStatus
from safelight.db.engine import Database
from safelight.dispatch.attempts.infra_failures import FAILURES_TO_SHUT, SHUT_S
from safelight.dispatch.backend import Backend
from safelight.dispatch.scheduling.affinity import SlotView
from safelight.dispatch.scheduling.outgrown import OutgrownJobs
from safelight.dispatch.slots.idle import IdleScaler
from safelight.dispatch.slots.slot import Slot
from safelight.dispatch.tasks import Tasks

log = logging.getLogger(__name__)


class Slots:
    """Mutable: the slots and their gates. ``labels`` and ``engines``: of the slots that have any, and that are not of
    the own kind. ``preference``: the engine kinds, the preferred first. ``request_claim``: called when a slot may take
    a job again."""

    def __init__(
        self,
        backend: Backend,
        *,
        db: Database,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]],
        tasks: Tasks,
        labels: Mapping[SlotId, frozenset[Pool]],
        engines: Mapping[SlotId, EngineKind],
        preference: Sequence[EngineKind],
        idle_timeout_s: float,
        min_running: int,
        request_claim: Callable[[], None],
        is_claiming: Callable[[], bool],
    ) -> None:
        self._slots = {slot: _slot(slot, labels, engines, preference) for slot in backend.slots}
        self._gates = Gates()
        self._backend = backend
        self._sleep = sleep
        self._tasks = tasks
        self._request_claim = request_claim
        self.outgrown = OutgrownJobs()
        self.idle = IdleScaler(
            self._slots.values(),
            db=db,
            backend=backend,
            clock=clock,
            sleep=sleep,
            tasks=tasks,
            idle_timeout_s=idle_timeout_s,
            min_running=min_running,
            is_open=self.is_open,
            may_stop=lambda: not is_claiming(),
        )

    def __iter__(self) -> Iterator[Slot]:
        return iter(self._slots.values())

    def __len__(self) -> int:
        return len(self._slots)

    def __getitem__(self, slot: SlotId) -> Slot:
        return self._slots[slot]

    # -- what they report --

    def engines(self) -> Sequence[EngineInfo]:
        """What each ready engine last reported about itself."""
        return [slot.info for slot in self if slot.info is not None]

    def statuses(self) -> Sequence[SlotStatus]:
        return [slot.status(self._gates.of(slot.id)) for slot in self]

    def packs(self) -> Mapping[SlotId, Sequence[PackStatus]]:
        """The node packs of each ready engine."""
        ready = {slot.id: slot.ready for slot in self if slot.ready is not None}
        return {
            slot: pack_statuses((node.module for node in message.nodes), message.failed_packs)
            for slot, message in ready.items()
        }

    def views(self, bindings: Mapping[UserId, SlotId]) -> list[SlotView]:
        """The slots as a pick sees them. ``bindings``: the slot of each user who is bound to one."""
        open_slots = {slot.id: slot.has for slot in self if self.is_open(slot.id)}
        views = [
            slot.view(
                self._gates.of(slot.id),
                bound={
                    owner: open_slots[other]
                    for owner, other in bindings.items()
                    if other in open_slots and other != slot.id
                },
            )
            for slot in self
        ]
        at_work = (view for view in views if view.slot in open_slots and self[view.slot].has_engine)
        if not (too_small := self.outgrown.too_small(at_work)):
            return views
        return [
            replace(view, too_small_for=frozenset(job for job, slots in too_small.items() if view.slot in slots))
            for view in views
        ]

    # -- gates --

    @property
    def gates(self) -> Gates:
        return self._gates

    def load_gates(self, gates: Gates) -> None:
        """Set the gates before the backend starts."""
        self._gates = gates

    def is_open(self, slot: SlotId) -> bool:
        return self._gates.of(slot) is SlotGate.OPEN

    def follow_gates(self, gates: Gates) -> None:
        """Drain and resume slots as the new gates say."""
        self._gates = gates
        for slot in self:
            self.drain_if_due(slot)
            if gates.of(slot.id) is not SlotGate.DRAINED and not slot.shut_reason:
                self.resume(slot)
        self._request_claim()

    def drain_if_due(self, slot: Slot) -> None:
        """End the engine of a slot that is drained or shut, unless it runs an attempt."""
        is_drained = self._gates.of(slot.id) is SlotGate.DRAINED
        if (is_drained or slot.shut_reason) and slot.attempt is None and not slot.is_drained:
            slot.is_drained = True
            reason = "the slot is drained" if is_drained else f"the slot is shut: {slot.shut_reason}"
            self._backend.drain(slot.id, reason)

    def resume(self, slot: Slot) -> None:
        """Start an engine on the slot, if it was drained."""
        if slot.is_drained:
            slot.is_drained = False
            if not slot.is_stopped:
                self._backend.resume(slot.id)

    # -- infrastructure failures (attempts/infra_failures.py) --

    def count_failure(self, slot: Slot, reason: str) -> None:
        """Count an infrastructure failure of the slot, and shut it after several in a row."""
        slot.failures += 1
        if slot.failures >= FAILURES_TO_SHUT and not slot.shut_reason:
            slot.shut_reason = reason
            log.error("shut the slot %s after %d infrastructure failures in a row: %s", slot.id, slot.failures, reason)
            self._tasks.spawn(self._try_again(slot, reason))

    def forgive(self, slot: SlotId | None) -> None:
        """An administrator has opened the slot: forget its failures."""
        if slot in self._slots:
            self._slots[slot].failures, self._slots[slot].shut_reason = 0, ""

    async def _try_again(self, slot: Slot, reason: str) -> None:
        """The cause may be gone: let one more attempt show it."""
        await self._sleep(SHUT_S)
        if slot.shut_reason is reason:
            slot.failures = FAILURES_TO_SHUT - 1
            slot.shut_reason = ""
            if self._gates.of(slot.id) is not SlotGate.DRAINED:
                self.resume(slot)
            self._request_claim()


def _slot(
    slot: SlotId,
    labels: Mapping[SlotId, frozenset[Pool]],
    engines: Mapping[SlotId, EngineKind],
    preference: Sequence[EngineKind],
) -> Slot:
    engine = engines.get(slot, OWN)
    rank = preference.index(engine) if engine in preference else len(preference)
    return Slot(slot, Capabilities(labels.get(slot, frozenset()), engine), rank)
