"""The node packs of this ComfyUI: where they are, which failed, and their web files."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from .prestartup_script import NAME
from .surfaces import Surfaces

AGENT = "safelight_agent"
"""The name under which ComfyUI imports the agent, as a node pack."""


def folders(surfaces: Surfaces) -> list[Path]:
    return [Path(folder) for folder in surfaces.folder_paths.get_folder_paths("custom_nodes")]


def failed(surfaces: Surfaces) -> dict[str, str]:
    """The packs that could not be imported, and why. A pack without nodes has not failed."""
    reasons: Mapping[str, str] = {}
    for handler in logging.getLogger().handlers:
        if handler.name == NAME:
            reasons = getattr(handler, "reasons", {})
    return {name: reasons[name] for name in _candidates(surfaces) if name in reasons}


def web_directories(surfaces: Surfaces) -> dict[str, str]:
    """The web folders of packs, by the names in their addresses."""
    found = getattr(surfaces.nodes, "EXTENSION_WEB_DIRS", None)
    if found is None:
        surfaces.lacks.append("its nodes have no EXTENSION_WEB_DIRS, so the web files of packs are not served")
        return {}
    return {str(name): str(folder) for name, folder in found.items()}


def _candidates(surfaces: Surfaces) -> Iterator[str]:
    for folder in folders(surfaces):
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        yield from (name for name in names if name != AGENT)
