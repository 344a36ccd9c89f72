"""Gates: whether the queue, and each slot, lets jobs start. An administrator sets them; they survive restarts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from safelight.core.worker import SlotGate, SlotId


class QueueGate(StrEnum):
    OPEN = "open"
    PAUSED = "paused"  # jobs are accepted and none starts; running jobs continue
    DRAINING = "draining"  # no job is accepted; waiting jobs still run
    CLOSED = "closed"  # no job is accepted and none starts


@dataclass(frozen=True, slots=True)
class Gates:
    """``slots``: those that are not open."""

    queue: QueueGate = QueueGate.OPEN
    slots: Mapping[SlotId, SlotGate] = field(default_factory=dict)

    @property
    def starts_jobs(self) -> bool:
        return self.queue in (QueueGate.OPEN, QueueGate.DRAINING)

    @property
    def accepts_jobs(self) -> bool:
        return self.queue in (QueueGate.OPEN, QueueGate.PAUSED)

    def of(self, slot: SlotId) -> SlotGate:
        return self.slots.get(slot, SlotGate.OPEN)
