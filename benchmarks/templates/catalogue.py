"""The official templates in the pinned packages. A template of the index counts if it needs no paid service."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safelight.web.packages import find_packages

FRONTEND_ONLY = frozenset({"Note", "MarkdownNote", "Reroute", "PrimitiveNode"})
"""Node types that the web UI has itself; they are not part of an API graph."""

MUTED, BYPASSED = 2, 4
"""Modes of nodes that are left out."""


@dataclass(frozen=True)
class Template:
    """``usage``: the index's own counter. ``folders``: where the template says that its model files belong."""

    name: str
    usage: int
    models: tuple[str, ...]
    workflow: Mapping[str, Any]
    folders: Mapping[str, str]

    def node_types(self) -> set[str]:
        """The types of the nodes that run, also those inside of subgraphs."""
        definitions = {one["id"]: one for one in self._subgraphs()}

        def types(nodes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
            for node in nodes:
                if node.get("mode", 0) in (MUTED, BYPASSED):
                    continue
                if (inner := definitions.get(node["type"])) is not None:
                    yield from types(inner["nodes"])
                elif node["type"] not in FRONTEND_ONLY:
                    yield node["type"]

        return set(types(self.workflow["nodes"]))

    def _subgraphs(self) -> Sequence[Mapping[str, Any]]:
        return (self.workflow.get("definitions") or {}).get("subgraphs") or ()


def templates() -> list[Template]:
    """All of them, the most used first. Raises :class:`LookupError` without the packages (the extra ``web``)."""
    folder = _folder()
    made = []
    for category in json.loads((folder / "index.json").read_text("utf-8")):
        for entry in category["templates"]:
            if entry.get("openSource") is False:
                continue
            workflow = json.loads((folder / f"{entry['name']}.json").read_text("utf-8"))
            models = tuple(entry.get("models") or ())
            made.append(
                Template(entry["name"], entry.get("usage", 0), models, workflow, dict(_model_folders(workflow)))
            )
    return sorted(made, key=lambda one: (-one.usage, one.name))


def _folder() -> Path:
    for folder in find_packages().templates:
        if (folder / "index.json").is_file():
            return folder
    raise LookupError("the package comfyui-workflow-templates-json is not installed; it is in the extra 'web'")


def _model_folders(workflow: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    nodes = list(workflow["nodes"])
    for definition in (workflow.get("definitions") or {}).get("subgraphs") or ():
        nodes += definition["nodes"]
    for node in nodes:
        for model in (node.get("properties") or {}).get("models") or ():
            yield model["name"], model["directory"]
