"""The state of one slot: its engine, the attempt that it runs, and whether it is meant to have an engine."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from safelight.core.ids import UserId
from safelight.core.pool import Capabilities
from safelight.core.worker import EngineInfo, SlotGate, SlotId, SlotState, SlotStatus
from safelight.dispatch.attempts.attempt import Attempt
from safelight.dispatch.journal import Journal
from safelight.dispatch.scheduling.affinity import SlotView
from safelight.dispatch.scheduling.forecast import ForecastSlot
from safelight.wire import messages as wire


@dataclass(frozen=True, slots=True)
class EngineEnded:
    """In a slot's inbox after the last message of its engine."""

    reason: str


@dataclass(frozen=True, slots=True)
class EngineReattached:
    """The first message of a slot whose engine works on an attempt that another server sent."""

    ready: wire.Ready
    journal: Journal


SlotMessage = wire.ToServer | EngineEnded | EngineReattached


@dataclass(slots=True, eq=False)
class Slot:
    id: SlotId
    has: Capabilities
    rank: int = 0  # of its engine kind, the preferred kind first
    ready: wire.Ready | None = None
    info: EngineInfo | None = None
    attempt: Attempt | None = None
    expected_models: frozenset[str] = frozenset()  # of the last job, until the engine reports what it has loaded
    is_drained: bool = False  # by an administrator's gate, or because it is shut
    failures: int = 0  # infrastructure failures in a row, without an attempt that completed
    shut_reason: str = ""  # why it gets no jobs any more; empty: it is not shut
    is_stopped: bool = False  # without an engine until a job waits for one (idle.py)
    idle_since_s: float = 0.0
    idle_watch: asyncio.Task[None] | None = None
    latest_owner_id: UserId | None = None  # the owner of its current or last job, whose models its engine has loaded
    is_inherited: bool = False  # its engine was started by another server, and is replaced after its attempt
    inbox: deque[SlotMessage] = field(default_factory=deque)
    is_busy: bool = False  # a message of the inbox waits for its commit
    is_unconfirmed: bool = False  # the claim of its attempt waits for its commit (claims.py)

    def view(self, gate: SlotGate, *, bound: Mapping[UserId, Capabilities]) -> SlotView:
        """``bound``: users who are bound to another slot; see :class:`SlotView`."""
        warm = self.expected_models.union(
            self.info.warm_models if self.info else (), self.attempt.job.summary.models if self.attempt else ()
        )
        is_idle = self.is_free and gate is SlotGate.OPEN
        return SlotView(self.id, self.has, warm, is_idle, bound, self.rank, self.device_memory)

    @property
    def device_memory(self) -> int:
        """Of its device, in bytes; 0 if it is not known yet. The machine's own memory, of a CPU, does not count."""
        devices = self.info.devices if self.info is not None else ()
        return max((device.vram_total for device in devices if device.type != "cpu"), default=0)

    @property
    def is_free(self) -> bool:
        """Whether its engine could begin a job."""
        return self.has_engine and self.attempt is None

    @property
    def has_engine(self) -> bool:
        """Whether it runs a job, or will take one when it is idle."""
        return self.ready is not None and not (self.is_inherited or self.is_stopped or self.shut_reason)

    @property
    def is_shut(self) -> bool:
        return bool(self.shut_reason)

    def in_forecast(self, now_s: float) -> ForecastSlot:
        """A slot that starts or is stopped counts as free."""
        attempt = self.attempt
        runs = None if attempt is None else (attempt.owner_id, attempt.job_id, max(now_s - attempt.claimed_s, 0.0))
        return ForecastSlot(self.id, self.has, self.rank, runs)

    def status(self, gate: SlotGate) -> SlotStatus:
        if self.attempt is not None:
            state = SlotState.RUNNING
        elif self.shut_reason:
            state = SlotState.SHUT
        elif self.ready is not None and not self.is_stopped:
            state = SlotState.IDLE
        elif self.is_drained:
            state = SlotState.DRAINED
        else:
            state = SlotState.STOPPED if self.is_stopped else SlotState.STARTING
        owner = self.attempt.owner_id if self.attempt is not None else None
        lacks = tuple(self.ready.lacks) if self.ready is not None else ()
        return SlotStatus(
            self.id,
            tuple(sorted(self.has.labels)),
            state,
            gate,
            owner,
            self.info,
            self.shut_reason,
            engine=self.has.engine,
            lacks=lacks,
        )
