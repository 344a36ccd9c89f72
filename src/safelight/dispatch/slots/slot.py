"""A slot as the dispatcher knows it: what its engine said last, what it runs, and whether it is meant to have one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from safelight.core.ids import UserId
from safelight.core.pool import Pool
from safelight.core.worker import EngineInfo, SlotGate, SlotId, SlotState, SlotStatus
from safelight.dispatch.attempts.attempt import Run
from safelight.dispatch.journal import Journal
from safelight.dispatch.scheduling.affinity import SlotView
from safelight.wire import messages as wire


@dataclass(frozen=True, slots=True)
class Lost:
    """Stands in a slot's inbox behind the last message of its engine."""

    reason: str


@dataclass(frozen=True, slots=True)
class Found:
    """The first word of a slot that works on what another server sent."""

    ready: wire.Ready
    journal: Journal


@dataclass(slots=True, eq=False)
class Slot:
    id: SlotId
    labels: frozenset[Pool]
    ready: wire.Ready | None = None
    info: EngineInfo | None = None
    run: Run | None = None
    recent: frozenset[str] = frozenset()  # the models of its engine's last job, until the engine tells what it holds
    is_retired: bool = False  # drained, or shut
    losses: int = 0  # attempts in a row that were lost beside the node, without one that completed
    shut: str = ""  # why it gets no job any more
    is_asleep: bool = False  # without an engine until jobs wait for one (dormancy.py)
    idle_since_s: float = 0.0
    latest_owner_id: UserId | None = None  # of the job that it runs or ran last: whose models its engine holds
    dozing: asyncio.Task[None] | None = None
    is_passing: bool = False  # its engine is of another server, and goes when its attempt is over
    inbox: deque[wire.ToServer | Found | Lost] = field(default_factory=deque)
    is_busy: bool = False  # a message of the inbox waits for its commit

    def place(self, gate: SlotGate, *, bound: Mapping[UserId, frozenset[Pool]]) -> SlotView:
        """``bound``: who to another slot; see :class:`~safelight.dispatch.scheduling.affinity.SlotView`."""
        warm = self.recent.union(
            self.info.warm_models if self.info else (), self.run.job.summary.models if self.run else ()
        )
        return SlotView(self.id, self.labels, warm, self.is_free and gate is SlotGate.OPEN, bound)

    @property
    def is_free(self) -> bool:
        """Whether its engine could begin a job."""
        return self.ready is not None and self.run is None and not (self.is_passing or self.is_asleep or self.shut)

    def status(self, gate: SlotGate) -> SlotStatus:
        if self.run is not None:
            state = SlotState.RUNNING
        elif self.shut:
            state = SlotState.SHUT
        elif self.ready is not None and not self.is_asleep:
            state = SlotState.IDLE
        elif self.is_retired:
            state = SlotState.DRAINED
        else:
            state = SlotState.STOPPED if self.is_asleep else SlotState.STARTING
        owner = self.run.owner_id if self.run is not None else None
        return SlotStatus(self.id, tuple(sorted(self.labels)), state, gate, owner, self.info, self.shut)
