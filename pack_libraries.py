"""Libraries of node packs: resolved against what is installed, then installed beside it, by pip.

Safelight's environment is pinned, and no pack changes it. A pack's libraries go into a folder of their own, which
workers search after that environment. So a library of a pack never replaces one of Safelight's, and resolving must find
versions that fit all that is installed; otherwise nothing is installed.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from safelight import settings
from safelight.cli.pack_requirements import Environment
from safelight.core.errors import SafelightError
from safelight.dispatch.backends.process import scrub

_CAUSE = re.compile(r"^    (?:The user requested \(constraint\) (?P<pin>\S+)|(?P<side>\S.*))$")


class NotResolved(SafelightError):
    """No versions fit. Nothing was installed."""


class PipFailed(SafelightError):
    """pip ended with an error that is not about versions."""


@dataclass(frozen=True, slots=True)
class Library:
    """A library to install. ``source``: the exact file, as a URL."""

    name: str
    version: str
    source: str


def resolve(needed: Sequence[Requirement], present: Environment, *, libraries: Path) -> list[Library]:
    """What must be installed for ``needed``, with every installed version fixed. Raises :class:`NotResolved` with both
    sides of a clash, and :class:`PipFailed`."""
    if not needed:
        return []
    with tempfile.TemporaryDirectory() as folder:
        pins, report = Path(folder, "pins.txt"), Path(folder, "report.json")
        pins.write_text("".join(f"{one.name}=={one.version}\n" for one in present.values() if one.name != "safelight"))
        options = ("--dry-run", "--report", str(report), "--constraint", str(pins))
        ran = _pip("install", *options, *map(str, needed), search=libraries)
        if ran.returncode:
            raise _error(ran.stderr)
        found = json.loads(report.read_text())["install"]
    return [Library(one["metadata"]["name"], one["metadata"]["version"], one["download_info"]["url"]) for one in found]


def install(chosen: Sequence[Library], *, libraries: Path) -> None:
    """Install exactly these. Raises :class:`PipFailed`."""
    if chosen:
        libraries.mkdir(parents=True, exist_ok=True)
        sources = [f"{one.name} @ {one.source}" for one in chosen]
        ran = _pip("install", "--no-deps", "--upgrade", "--target", str(libraries), *sources, search=libraries)
        if ran.returncode:
            raise _error(ran.stderr)


def fetch_pack(name: str, *, into: Path) -> None:
    """Install the package ``name``, a pack on PyPI, without its requirements. Raises :class:`PipFailed`."""
    ran = _pip("install", "--no-deps", "--no-compile", "--target", str(into), name, search=into)
    if ran.returncode:
        raise _error(ran.stderr)


def _pip(*words: str, search: Path) -> subprocess.CompletedProcess[str]:
    """Run pip as it would run in a worker: it finds what is in ``search`` as installed."""
    command = [sys.executable, "-m", "pip", *words, "--quiet", "--disable-pip-version-check", "--no-input"]
    environment = scrub(settings.process_environment()) | {"PYTHONPATH": str(search)}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def _error(stderr: str) -> SafelightError:
    """pip's error. A clash is worded from the lines that name its sides."""
    lines = stderr.splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith("The conflict is caused by")), None)
    if start is None:
        errors = [line for line in lines if line.startswith("ERROR:")] or lines or ["pip ended without a message"]
        if "No module named pip" in stderr:
            errors = [f"pip is not installed in {sys.prefix}"]
        return PipFailed("; ".join(line.removeprefix("ERROR: ").strip() for line in errors[:3]))
    sides = []
    for line in lines[start + 1 :]:
        if not (match := _CAUSE.match(line)):
            break
        sides.append(f"this installation has {match['pin']}" if match["pin"] else match["side"])
    return NotResolved(", and ".join(sides) if sides else "no versions fit what is installed")


def default_libraries() -> Path:
    """The folder beside Safelight's own environment."""
    return Path(f"{os.path.realpath(sys.prefix)}-packs")
