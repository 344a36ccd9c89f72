"""The compute devices of this machine, found without torch: from the files of their drivers."""

import platform
import sys
from collections.abc import Sequence
from pathlib import Path

_INTEL = "0x8086"
_DISCRETE_CLASS = "0x038000"
"""PCI class of a display controller without a display output, as Intel's cards for computing have it."""


def find_devices(root: Path = Path("/")) -> Sequence[str]:
    """The devices by torch's names: NVIDIA's and AMD's (``cuda:0`` ...), else Intel's (``xpu:0`` ...), else Apple's
    (``mps``). ``root``: of the file system.

    Empty if there are none: each engine then uses the device that torch chooses, usually the CPU.
    """
    count = _nvidia(root) or _amd(root)
    if count:
        return [f"cuda:{number}" for number in count]
    if intel := _intel(root):
        return [f"xpu:{number}" for number in range(intel)]
    return ["mps"] if sys.platform == "darwin" and platform.machine() == "arm64" else []


def _nvidia(root: Path) -> Sequence[int]:
    numbers = (path.name.removeprefix("nvidia") for path in (root / "dev").glob("nvidia[0-9]*"))
    return sorted(int(number) for number in numbers if number.isdigit())


def _amd(root: Path) -> Sequence[int]:
    """The GPUs of ROCm's driver, which torch names like NVIDIA's: nodes of its topology that have vector units."""
    found = 0
    for properties in sorted((root / "sys/class/kfd/kfd/topology/nodes").glob("*/properties")):
        values = dict(line.split(maxsplit=1) for line in _text(properties).splitlines() if " " in line)
        found += int(values.get("simd_count", "0")) > 0
    return range(found) if (root / "dev/kfd").exists() else ()


def _intel(root: Path) -> int:
    """Cards for computing; graphics on the processor's die are not among them."""
    places = (root / "sys/class/drm").glob("renderD*/device")
    return sum(_text(place / "vendor") == _INTEL and _text(place / "class") == _DISCRETE_CLASS for place in places)


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
