"""Combos that a pack fills by listing the input folder: ``os.listdir(folder_paths.get_input_directory())``.

A node is declared once for all users, while no job runs, so the folder has no files of anybody. While packs are loaded
it contains a *probe* of each type of file. A combo that offers probes lists the folder: the probes that it offers, and
those that it leaves out, say which files it takes. They are replaced by that statement (``core/upload_mark.py``), and
the server fills in the files of the user who asks.
"""

import shutil
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from safelight.core.node import InputSchema, NodeSchema
from safelight.core.upload_mark import INPUT_LISTING, LISTED_EXTENSIONS
from safelight.worker.workspace import Workspace

_STEM = "safelight-probe"
_SUBFOLDER = "safelight-probes"


def place_probes(workspace: Workspace) -> None:
    """Put the probes into the input folder."""
    top = workspace.folder("input")
    for folder in (top, top / _SUBFOLDER):
        folder.mkdir(exist_ok=True)
        for extension in LISTED_EXTENSIONS:
            (folder / f"{_STEM}{extension}").touch()


def remove_probes(workspace: Workspace) -> None:
    top = workspace.folder("input")
    shutil.rmtree(top / _SUBFOLDER, ignore_errors=True)
    for extension in LISTED_EXTENSIONS:
        (top / f"{_STEM}{extension}").unlink(missing_ok=True)


def without_probes(schema: NodeSchema) -> NodeSchema:
    """Replace the probes in the node's combos by what they say."""
    if not any(_probes(i.options or ()) for i in schema.inputs):
        return schema
    return replace(schema, inputs=tuple(_stated(i) for i in schema.inputs))


def _stated(declared: InputSchema) -> InputSchema:
    options = declared.options or []
    probes = _probes(options)
    if not probes:
        return declared
    config: dict[str, Any] = {**declared.config, "options": [o for o in options if o not in probes]}
    if _probes([config.get("default")]):
        del config["default"]
    extensions = {extension for extension in LISTED_EXTENSIONS if f"{_STEM}{extension}" in probes}
    deep = {extension for extension in LISTED_EXTENSIONS if f"{_SUBFOLDER}/{_STEM}{extension}" in probes}
    if extensions or deep:
        config[INPUT_LISTING] = {"extensions": sorted(extensions | deep), "deep": bool(deep), "folders": False}
    elif _SUBFOLDER in probes:
        config[INPUT_LISTING] = {"extensions": [], "deep": False, "folders": True}
    return replace(declared, config=config)


def _probes(options: Iterable[Any]) -> set[str]:
    """Those of the choices that are made of probes, in whatever form: names, paths, or the subfolder."""
    return {option for option in options if isinstance(option, str) and _STEM in option}
