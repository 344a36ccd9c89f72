"""Sub-graph blueprints as the frontend's node library wants them: all in one answer, each with its workflow inside.

Without ``data`` in the list the frontend asks for each of them by itself, 115 requests of every page load.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

SOURCE = "templates"
"""ComfyUI's word for blueprints that come from a package rather than from a node pack."""

_NODE_PACK = "comfyui"


def list_blueprints(folder: Path) -> dict[str, dict[str, Any]]:
    """Every blueprint by id. The id is the file's name: it stays the same over versions of the package."""
    return {blueprint_id: _blueprint(folder / f"{blueprint_id}.json") for blueprint_id in _ids(folder)}


def read_blueprint(folder: Path, blueprint_id: str) -> dict[str, Any] | None:
    """One blueprint; ``None`` where there is none of that id."""
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
    data = msgspec.json.encode(workflow).decode()  # minified: half of the file is indentation
    return {"source": SOURCE, "name": graph["name"], "info": info, "data": data}
