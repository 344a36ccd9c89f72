"""The meaning of ComfyUI's ``extra_model_paths.yaml``, read into plain values."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safelight.core.model_folders import ExtraPlace


def places_in(document: Any, *, here: Path) -> tuple[ExtraPlace, ...]:
    """The model folders that the file's content names, in its order. ``here``: the file's folder.

    Each section has a ``base_path`` (optional; ``~`` and variables are expanded, and a relative path starts at the
    file), ``is_default``, and for each model folder one path or several, one on each line. Raises :class:`ValueError`
    for a document that does not have this form.
    """
    if document is None:
        return ()
    if not isinstance(document, Mapping):
        raise ValueError("not a table of sections")
    return tuple(place for name, section in document.items() if section for place in _folders(name, section, here))


def _folders(name: Any, section: Any, here: Path) -> Iterator[ExtraPlace]:
    if not isinstance(section, Mapping):
        raise ValueError(f"section {name!r} is not a table of folders")
    base = here / os.path.expandvars(os.path.expanduser(str(section.get("base_path") or "")))
    is_default = bool(section.get("is_default", False))
    for folder, paths in section.items():
        if folder in ("base_path", "is_default", "custom_nodes") or paths is None:
            continue
        if not isinstance(paths, str):
            raise ValueError(f"{name}: {folder} is {paths!r}, which is not a path")
        for line in paths.split("\n"):
            if line:
                yield ExtraPlace(str(folder), Path(os.path.normpath(base / line)), is_default)
