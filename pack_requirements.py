"""What a node pack needs: the requirements that it declares, and which of them are met."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from safelight.core.errors import SafelightError

_HEADLESS = {
    "opencv-python": "opencv-python-headless",
    "opencv-contrib-python": "opencv-contrib-python-headless",
}
"""Builds with windows, which a server does not show, and the builds of the same modules without them."""


class UnreadableRequirements(SafelightError):
    """The requirements of a pack cannot be read."""


@dataclass(frozen=True, slots=True)
class Installed:
    """``owner``: who installed it: Safelight, or node packs."""

    name: str
    version: str
    owner: str


Environment = Mapping[str, Installed]
"""Every library that a worker can import, by normalised name."""


def environment(libraries: Path) -> Environment:
    """Safelight's own environment, and the packs' ``libraries`` behind it."""
    found: dict[str, Installed] = {}
    for owner, installed in (("Safelight", distributions()), ("node packs", distributions(path=[str(libraries)]))):
        for one in installed:
            name = _name(one)
            if name:
                found.setdefault(canonicalize_name(name), Installed(name, one.version, owner))
    return found


def declared_by(pack: Path) -> list[Requirement]:
    """The requirements of a pack that is a folder: of ``requirements.txt``, else of ``pyproject.toml``. Options of pip
    are left out. Raises :class:`UnreadableRequirements`."""
    listed, project = pack / "requirements.txt", pack / "pyproject.toml"
    if listed.is_file():
        return list(read_requirements(_lines(listed), source=listed))
    if project.is_file():
        try:
            table = tomllib.loads(project.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UnreadableRequirements(f"{project}: {error}") from None
        return list(read_requirements(table.get("project", {}).get("dependencies", ()), source=project))
    return []


def read_requirements(lines: Sequence[str], *, source: Path) -> Iterator[Requirement]:
    """The requirements that apply to this Python, with the headless builds of OpenCV."""
    for line in lines:
        try:
            needed = Requirement(_as_requirement(line))
        except InvalidRequirement as error:
            raise UnreadableRequirements(f"{source}: invalid requirement {line!r}: {error}") from None
        if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
            continue
        needed.name = _HEADLESS.get(canonicalize_name(needed.name), needed.name)
        yield needed


def clashes(needed: Sequence[Requirement], present: Environment) -> list[str]:
    """The requirements that an installed library does not fulfil, each with both sides."""
    texts = []
    for one in needed:
        there = present.get(canonicalize_name(one.name))
        if there is not None and not one.specifier.contains(there.version, prereleases=True):
            texts.append(f"it needs {one.name}{one.specifier}, and {there.owner} has {there.name} {there.version}")
    return texts


def missing(needed: Sequence[Requirement], present: Environment) -> list[Requirement]:
    return [one for one in needed if canonicalize_name(one.name) not in present]


def _lines(file: Path) -> list[str]:
    stripped = (line.split(" #")[0].strip() for line in file.read_text("utf-8", errors="replace").splitlines())
    return [line for line in stripped if line and not line.startswith(("#", "-"))]


def _as_requirement(line: str) -> str:
    """A URL that names no library, as pip accepts it, with the name of its repository."""
    if line.startswith(("git+", "http://", "https://")):
        address = line.partition("#")[0].rstrip("/")
        name = address.rpartition("/")[2].partition("@")[0].removesuffix(".git")
        return f"{name} @ {line}"
    return line


def _name(distribution: Distribution) -> str | None:
    name: str | None = distribution.metadata["Name"]
    return name
