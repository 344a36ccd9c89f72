"""What people have made with a ComfyUI: its output files, its input files and its saved workflows. Reads names only."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PLACEHOLDERS = frozenset({"_output_images_will_be_put_here"})


@dataclass(frozen=True, slots=True)
class SavedFile:
    """``name``: its path below the folder, with ``/``."""

    name: str
    path: Path


def files_below(folder: Path, *, suffix: str = "") -> Iterator[SavedFile]:
    """The files of a folder and its subfolders, by name, without hidden ones; none where there is no such folder."""
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(where, name)
            is_hidden = name.startswith(".") or name in _PLACEHOLDERS
            if not is_hidden and name.endswith(suffix) and path.is_file():
                yield SavedFile(path.relative_to(folder).as_posix(), path)


def outputs(root: Path) -> Path:
    return root / "output"


def inputs(root: Path) -> Path:
    return root / "input"


def workflows(root: Path, *, user: str = "default") -> Path:
    """The folder of the workflows that the web UI of a ComfyUI has saved. ``user``: one of ComfyUI's own users."""
    return root / "user" / user / "workflows"
