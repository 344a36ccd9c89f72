"""``extra_model_paths.yaml``: ComfyUI's file of model folders that lie elsewhere.

Each section has a ``base_path`` (optional; ``~`` and variables are expanded, and a relative one starts at the file),
``is_default`` (its places count before all others), and for each model folder a path or several, a line each.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safelight.core.model_folders import ExtraPlace

PACKS = "custom_nodes"
"""A folder of node packs, which the setting ``custom_nodes`` names."""


def read_extra_model_paths(file: Path) -> tuple[ExtraPlace, ...]:
    """In the file's order. Raises :class:`OSError`, and :class:`ValueError` for what is not such a file."""
    import yaml  # few installations have such a file

    try:
        document = yaml.safe_load(file.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"not YAML: {error}") from None
    if document is None:
        return ()
    if not isinstance(document, Mapping):
        raise ValueError("not a table of sections")
    here = file.resolve().parent
    return tuple(place for name, section in document.items() if section for place in _places(name, section, here))


def _places(name: Any, section: Any, here: Path) -> Iterator[ExtraPlace]:
    if not isinstance(section, Mapping):
        raise ValueError(f"section {name!r} is not a table of folders")
    base = here / os.path.expandvars(os.path.expanduser(str(section.get("base_path") or "")))
    is_default = bool(section.get("is_default", False))
    for folder, paths in section.items():
        if folder in ("base_path", "is_default", PACKS) or paths is None:
            continue
        if not isinstance(paths, str):
            raise ValueError(f"{name}: {folder} is {paths!r}, which is not a path")
        for line in paths.split("\n"):
            if line:
                yield ExtraPlace(str(folder), Path(os.path.normpath(base / line)), is_default)
