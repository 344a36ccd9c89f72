"""Versions, devices and memory of this process, as the server shows them."""

from __future__ import annotations

import os
import platform
import sys
from typing import Any

from .surfaces import Surfaces


def describe(surfaces: Surfaces, warm_models: list[str]) -> dict[str, Any]:
    """``warm_models``: names of the model files that are loaded, as prompts write them."""
    torch = sys.modules.get("torch")
    return {
        "python_version": sys.version,
        "pytorch_version": str(getattr(torch, "__version__", "none")),
        "devices": [_device(torch)],
        "pid": os.getpid(),
        "warm_models": warm_models,
        "host": platform.node(),
        "version": surfaces.version,
    }


def resident_bytes() -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _device(torch: Any) -> dict[str, Any]:
    cuda = getattr(torch, "cuda", None)
    if cuda is not None and cuda.is_available():
        free, total = cuda.mem_get_info(0)
        reserved = cuda.memory_reserved(0)
        unused = reserved - cuda.memory_allocated(0)
        name = f"cuda:0 {cuda.get_device_name(0)}"
        return _fields(name, "cuda", 0, total, free + unused, reserved, unused)
    with open("/proc/meminfo", encoding="ascii") as file:
        lines = dict(line.split(":", 1) for line in file)
    total, free = (int(lines[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    return _fields("cpu", "cpu", None, total, free, total, free)


def _fields(name: str, kind: str, index: int | None, total: int, free: int, held: int, unused: int) -> dict[str, Any]:
    return {
        "name": name,
        "type": kind,
        "index": index,
        "vram_total": total,
        "vram_free": free,
        "torch_vram_total": held,
        "torch_vram_free": unused,
    }
