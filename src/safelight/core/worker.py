"""Workers as the server knows them: a slot is one device that can run one job."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

from safelight.core.ids import UserId

SlotId = NewType("SlotId", str)


@dataclass(frozen=True, slots=True)
class Device:
    """A compute device as ``/api/system_stats`` shows it. Memory in bytes; a CPU reports the machine's memory."""

    name: str
    type: str
    index: int | None
    vram_total: int
    vram_free: int
    torch_vram_total: int = 0
    torch_vram_free: int = 0


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine process says of itself when it is ready."""

    python_version: str
    pytorch_version: str
    devices: tuple[Device, ...]
    pid: int
    warm_models: tuple[str, ...] = ()
    """Files of the models in its memory, by the names that prompts use; an idle slot prefers jobs that name them."""
    host: str = ""
    """The name of its machine."""


class SlotGate(StrEnum):
    """Whether a slot lets jobs through (``core/gate.py``)."""

    OPEN = "open"
    PAUSED = "paused"  # takes no job; its engine stays, with what it has in memory
    DRAINED = "drained"  # takes no job, and after its last one has no engine either: its device is free


class SlotState(StrEnum):
    STARTING = "starting"  # without an engine that is ready
    IDLE = "idle"
    RUNNING = "running"
    DRAINED = "drained"  # without an engine, and meant to be
    STOPPED = "asleep"  # without an engine until jobs wait for one
    SHUT = "shut"  # without an engine, because it lost one attempt after another; ``SlotStatus.reason`` says why


@dataclass(frozen=True, slots=True)
class SlotStatus:
    """A slot at this moment. ``owner_id``: whose job it runs; ``info``: what its engine last said of itself."""

    id: SlotId
    labels: tuple[str, ...]
    state: SlotState
    gate: SlotGate
    owner_id: UserId | None
    info: EngineInfo | None
    reason: str = ""
    """Why it is shut."""
