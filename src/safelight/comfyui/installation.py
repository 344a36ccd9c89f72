"""A ComfyUI as its operator has installed it: where its parts lie. Reads the disk, and starts nothing."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from safelight.core.errors import Invalid

_VENVS = ("venv", ".venv", "env", "../python_embeded", "python_embeded", "../python_embedded", "python_embedded")
"""Where a Python environment of a ComfyUI usually is, below its folder or beside it (the portable package)."""
EXTRA_MODEL_PATHS = "extra_model_paths.yaml"
"""The name of a ComfyUI's file of model folders elsewhere."""
_PYTHONS = ("bin/python", "bin/python3", "Scripts/python.exe", "python.exe")


class NotAnInstallation(Invalid):
    """The folder is not a ComfyUI that could be started."""


@dataclass(frozen=True, slots=True)
class Installation:
    """``root``: the absolute folder of ``main.py``. ``python``: the absolute path of its interpreter."""

    root: Path
    python: Path

    @property
    def version(self) -> str:
        return version_of(self.root)

    @property
    def packs(self) -> Sequence[str]:
        """The names of its node packs: folders and modules in ``custom_nodes`` that ComfyUI would import."""
        folder = self.root / "custom_nodes"
        if not folder.is_dir():
            return []
        return sorted(
            entry.name
            for entry in folder.iterdir()
            if not entry.name.startswith((".", "__"))
            and not entry.name.endswith(".disabled")
            and (entry.is_dir() or (entry.suffix == ".py" and entry.name != "websocket_image_save.py"))
        )

    @property
    def extra_model_paths(self) -> Path | None:
        """Its file of model folders elsewhere, if it has one."""
        path = self.root / EXTRA_MODEL_PATHS
        return path if path.is_file() else None


def find(root: str | Path, python: str | Path = "") -> Installation:
    """The ComfyUI in ``root``. ``python``: an interpreter or the folder of an environment; empty: searched in ``root``.

    Raises :class:`NotAnInstallation`.
    """
    folder = Path(os.path.abspath(os.path.expanduser(root)))
    if not (folder / "main.py").is_file():
        raise NotAnInstallation(f"no main.py in {str(root)!r}")
    return Installation(folder, find_python(folder, python))


def version_of(root: Path) -> str:
    """The version that the sources of a ComfyUI state; empty if they state none."""
    for name in ("comfyui_version.py", "pyproject.toml"):
        try:
            text = (root / name).read_text("utf-8", errors="replace")
        except OSError:
            continue
        if found := re.search(r'^(?:__version__|version)\s*=\s*"([^"]+)"', text, re.MULTILINE):
            return found[1]
    return ""


def find_python(root: Path, python: str | Path = "") -> Path:
    """The interpreter of the ComfyUI in ``root``; its links are kept, because an environment is found by the path of
    its interpreter. Raises :class:`NotAnInstallation`."""
    if python:
        given = Path(os.path.abspath(os.path.expanduser(python)))
        found = next((p for p in (given, *(given / name for name in _PYTHONS)) if _is_program(p)), None)
        if found is None:
            raise NotAnInstallation(f"{str(python)!r} is neither a Python interpreter nor the folder of one")
        return found
    places = [root / venv / name for venv in _VENVS for name in _PYTHONS]
    for place in places:
        if _is_program(place):
            return Path(os.path.normpath(place))
    raise NotAnInstallation(
        f"no Python environment in {str(root)!r} (tried {', '.join(_VENVS)}); name its interpreter after a colon: "
        f"comfyui={root}:/path/to/python"
    )


def python_folders(python: Path) -> Iterator[Path]:
    """The folders that an interpreter reads its packages from, as far as their place follows from its own path: its
    environment, and the installation that the environment was made from."""
    yield python.parent.parent
    yield Path(os.path.realpath(python)).parent.parent
    try:
        text = (python.parent.parent / "pyvenv.cfg").read_text("utf-8")
    except OSError:
        return
    for line in text.splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "home" and value.strip():
            yield Path(value.strip()).parent


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
