"""What the interpreter of a ComfyUI has installed: PyTorch, its devices, and which requirements are missing."""

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from safelight.comfyui.installation import Installation
from safelight.core.errors import Unavailable

LIMIT_S = 120
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

_PROGRAM = """
import importlib.metadata, json, platform, sys
def is_missing(name):
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return True
missing = [name for name in json.loads(sys.argv[1]) if is_missing(name)]
found = {"python": platform.python_version(), "torch": "", "devices": [], "missing": missing}
try:
    import torch
    found["torch"] = torch.__version__
    found["devices"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    if not found["devices"] and getattr(torch.backends, "mps", None) and torch.backends.mps.is_available():
        found["devices"] = ["mps"]
except Exception as error:
    found["failure"] = f"{type(error).__name__}: {error}"
print(json.dumps(found))
"""


@dataclass(frozen=True, slots=True)
class Inspection:
    """``devices``: empty where jobs run on the CPU. ``failure``: why PyTorch cannot be imported. ``missing``: packages
    that requirements name and that are not installed, by the node pack, ``""`` for ComfyUI itself."""

    python: str
    torch: str
    devices: Sequence[str]
    missing: Mapping[str, Sequence[str]]
    failure: str = ""


def inspect(found: Installation, *, environment: Mapping[str, str]) -> Inspection:
    """Ask its interpreter, in a process of its own. Blocks. Raises :class:`Unavailable` if it cannot be run."""
    wanted = {"": _requirements(found.root)}
    wanted |= {pack: _requirements(found.root / "custom_nodes" / pack) for pack in found.packs}
    names = sorted({name for each in wanted.values() for name in each})
    command = [str(found.python), "-c", _PROGRAM, json.dumps(names)]
    try:
        ran = subprocess.run(
            command, capture_output=True, text=True, timeout=LIMIT_S, env=dict(environment), cwd=found.root
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{found.python} cannot be run: {error}") from None
    if ran.returncode:
        reason = ran.stderr.strip().splitlines()[-1] if ran.stderr.strip() else f"exit status {ran.returncode}"
        raise Unavailable(f"{found.python} cannot be used: {reason}")
    report = json.loads(ran.stdout.strip().splitlines()[-1])
    absent = set(report["missing"])
    missing = {pack: lacking for pack, names in wanted.items() if (lacking := sorted(absent.intersection(names)))}
    return Inspection(report["python"], report["torch"], report["devices"], missing, report.get("failure", ""))


def _requirements(folder: Path) -> Sequence[str]:
    """The names of the packages in its ``requirements.txt``, without those that are for other systems or from URLs."""
    try:
        lines = (folder / "requirements.txt").read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return []
    plain = (line.partition("#")[0].strip() for line in lines)
    return [
        name[0]
        for line in plain
        if line and ";" not in line and "://" not in line and (name := _NAME.match(line)) is not None
    ]
