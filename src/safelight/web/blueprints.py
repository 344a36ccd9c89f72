"""Subgraph blueprints for the frontend's node library: all in one response, each with its workflow.

Without ``data`` in the list, the frontend requests each blueprint separately: 115 requests on every page load.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

SOURCE = "templates"
"""ComfyUI's value for blueprints that come from a package, not from a node pack."""

_NODE_PACK = "comfyui"


def list_blueprints(folder: Path) -> dict[str, dict[str, Any]]:
    """All blueprints by id. The id is the file's name, which is the same in every version of the package."""
    return {blueprint_id: _blueprint(folder / f"{blueprint_id}.json") for blueprint_id in _ids(folder)}


def read_blueprint(folder: Path, blueprint_id: str) -> dict[str, Any] | None:
    """One blueprint; ``None`` if there is none with that id."""
    return _blueprint(folder / f"{blueprint_id}.json") if blueprint_id in set(_ids(folder)) else None


def _ids(folder: Path) -> Iterator[str]:
    return (path.stem for path in sorted(folder.glob("*.json")))


def _blueprint(path: Path) -> dict[str, Any]:
    workflow = msgspec.json.decode(path.read_bytes())
    graph = workflow["definitions"]["subgraphs"][0]
    info: dict[str, Any] = {"node_pack": _NODE_PACK}
    if category := graph.get("category"):
        info["category"] = category
    if aliases := workflow.get("extra", {}).get("BlueprintSearchAliases"):
        info["search_aliases"] = aliases
    data = msgspec.json.encode(workflow).decode()  # without indentation, which is half of the file
    return {"source": SOURCE, "name": graph["name"], "info": info, "data": data}
