"""Workers as the server knows them: a slot is one device that can run one job."""

from dataclasses import dataclass
from typing import NewType

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
