"""Workers as the server knows them: a slot is one device that can run one job."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

from safelight.core.engine_kind import OWN, EngineKind
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
    capability: str = ""
    """Of a GPU: its compute capability (``8.9``), or the name of its architecture (``gfx1100``)."""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine process reports about itself when it is ready."""

    python_version: str
    pytorch_version: str
    devices: tuple[Device, ...]
    pid: int
    warm_models: tuple[str, ...] = ()
    """Files of the models that it has loaded, by the names that prompts use; an idle slot prefers jobs that name them.
    """
    host: str = ""
    """The name of its machine."""
    version: str = ""
    """What it is and its version: ``Safelight 0.1.0``, ``ComfyUI 0.8.0``."""


class SlotGate(StrEnum):
    """Whether a slot lets jobs through (``core/gate.py``)."""

    OPEN = "open"
    PAUSED = "paused"  # takes no job; its engine keeps running, with its models loaded
    DRAINED = "drained"  # takes no job, and has no engine after its last one: its device is free


class SlotState(StrEnum):
    STARTING = "starting"  # its engine is not ready yet
    IDLE = "idle"
    RUNNING = "running"
    DRAINED = "drained"  # without an engine, because its gate is drained
    STOPPED = "asleep"  # without an engine until a job waits for one; the API calls this state asleep
    SHUT = "shut"  # without an engine, after several infrastructure failures in a row; see ``SlotStatus.reason``


@dataclass(frozen=True, slots=True)
class SlotStatus:
    """A slot at this moment. ``owner_id``: of the job that it runs; ``info``: what its engine last reported."""

    id: SlotId
    labels: tuple[str, ...]
    state: SlotState
    gate: SlotGate
    owner_id: UserId | None
    info: EngineInfo | None
    reason: str = ""
    """Why the slot is shut."""
    engine: EngineKind = OWN
    lacks: tuple[str, ...] = ()
    """A sentence for each part of a ComfyUI that its engine cannot use."""
