"""Versions, devices and memory of this process, as the server shows them."""

import os
import platform
import sys
from importlib import metadata
from typing import Any

from safelight import __version__
from safelight.core.worker import Device, EngineInfo


def describe(device: str) -> EngineInfo:
    """Describe this process. ``device``: the slot's (``cpu``, ``cuda:0`` ...), empty for torch's default.

    Does not import torch: if no node has imported it, the machine itself is reported as the device.
    """
    return EngineInfo(
        python_version=sys.version,
        pytorch_version=_torch_version(),
        devices=(_device(device),),
        pid=os.getpid(),
        host=platform.node(),
        version=f"Safelight {__version__}",
    )


def resident_bytes() -> int:
    """0 where the system does not report it."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except FileNotFoundError:
        return 0


def machine_memory() -> tuple[int, int]:
    """Return the machine's total and available memory in bytes; where the system reports the total only, that twice."""
    try:
        file = open("/proc/meminfo", encoding="ascii")  # noqa: SIM115
    except FileNotFoundError:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return total, total
    with file:
        lines = dict(line.split(":", 1) for line in file)
    return tuple(int(lines[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))  # type: ignore[return-value]


def _device(device: str) -> Device:
    torch = sys.modules.get("torch")
    if torch is not None and not device.startswith("cpu"):
        if torch.cuda.is_available():
            return _cuda(torch, device)
        if torch.xpu.is_available():
            return _xpu(torch, device)
        if torch.backends.mps.is_available():
            return _mps(torch)
    total, free = machine_memory()
    return Device("cpu", "cpu", None, total, free, total, free)


def _cuda(torch: Any, device: str) -> Device:
    index = torch.device(device or "cuda").index or 0
    free, total = torch.cuda.mem_get_info(index)
    reserved = torch.cuda.memory_reserved(index)
    unused = reserved - torch.cuda.memory_allocated(index)
    name = f"cuda:{index} {torch.cuda.get_device_name(index)}"
    return Device(name, "cuda", index, total, free + unused, reserved, unused, _capability(torch, index))


def _capability(torch: Any, index: int) -> str:
    """AMD's devices report the name of their architecture, NVIDIA's a version."""
    if torch.version.hip:
        return str(torch.cuda.get_device_properties(index).gcnArchName).split(":")[0]
    return ".".join(map(str, torch.cuda.get_device_capability(index)))


def _xpu(torch: Any, device: str) -> Device:
    index = torch.device(device or "xpu").index or 0
    free, total = torch.xpu.mem_get_info(index)
    return Device(f"xpu:{index} {torch.xpu.get_device_name(index)}", "xpu", index, total, free)


def _mps(torch: Any) -> Device:
    """Apple's devices share the machine's memory; the driver recommends how much of it to use."""
    total = int(torch.mps.recommended_max_memory())
    return Device("mps", "mps", 0, total, max(total - int(torch.mps.driver_allocated_memory()), 0))


def _torch_version() -> str:
    torch = sys.modules.get("torch")
    if torch is not None:
        return str(torch.__version__)
    try:
        return metadata.version("torch")
    except metadata.PackageNotFoundError:
        return "none, with Python " + platform.python_version()
