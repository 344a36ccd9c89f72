"""The list of workflow templates, with what runs on this server first and the rest marked.

The frontend shows ``index*.json`` of the templates package. Its tags become labels on the cards and a filter, and its
numbers decide the order; here they say what this server can run.
"""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

RUNS, NEEDS_MODELS, DOES_NOT_RUN = "Runs here", "Needs models", "Does not run here"
_INDEX = re.compile(r"index(\.[A-Za-z-]+)?\.json")
_DRAWN_BY_THE_FRONTEND = frozenset({"MarkdownNote", "Note", "Reroute", "PrimitiveNode"})
"""Nodes of workflows that no server runs."""
_MOST_NAMED = 4
_FIRST, _LAST = 1000, -1000
"""Ranks beyond the package's own, which end at about 20. The frontend's order "Recommended" adds them to the usage."""


@dataclass(frozen=True, slots=True)
class Here:
    """What this server has. ``has_model``: by folder and name. ``version`` changes with both."""

    version: str
    nodes: Collection[str]
    has_model: Callable[[str, str], bool]


NOTHING = Here("", (), lambda _folder, _name: False)


@dataclass(frozen=True, slots=True)
class _Needs:
    nodes: frozenset[str]
    models: frozenset[tuple[str, str]]


@dataclass(slots=True)
class TemplateIndex:
    """Mutable: what each template needs, once it was read; the last marked lists."""

    folders: Sequence[Path]
    _needs: dict[str, _Needs] = field(default_factory=dict)
    _marked: dict[str, tuple[str, bytes]] = field(default_factory=dict)

    def is_index(self, url_path: str) -> bool:
        folder, _, name = url_path.strip("/").rpartition("/")
        return folder == "templates" and _INDEX.fullmatch(name) is not None and name != "index.schema.json"

    def marked(self, path: Path, here: Here) -> bytes:
        """The list at ``path`` as JSON, each category in the order: runs, needs models, does not run. Blocks."""
        known = self._marked.get(path.name)
        if known is None or known[0] != here.version:
            known = (here.version, msgspec.json.encode(self._mark(json.loads(path.read_bytes()), here)))
            self._marked[path.name] = known
        return known[1]

    def _mark(self, categories: Any, here: Here) -> Any:
        if not isinstance(categories, list):
            return categories  # not a list of templates
        order = (RUNS, NEEDS_MODELS, DOES_NOT_RUN)
        most_used = max(
            (template.get("usage") or 0 for category in categories for template in category["templates"]), default=0
        )
        for category in categories:
            if isinstance(category, dict) and isinstance(category.get("templates"), list):
                marked = [
                    _marked(template, self._needs_of(template["name"]), here, most_used=most_used)
                    for template in category["templates"]
                ]
                category["templates"] = sorted(marked, key=lambda template: order.index(template["tags"][0]))
        return categories

    def _needs_of(self, name: str) -> _Needs:
        if name not in self._needs:
            self._needs[name] = self._read(name)
        return self._needs[name]

    def _read(self, name: str) -> _Needs:
        for folder in self.folders:
            path = folder / f"{name}.json"
            if path.is_file():
                return _needs(json.loads(path.read_bytes()))
        return _Needs(frozenset(), frozenset())


def _needs(workflow: Mapping[str, Any]) -> _Needs:
    definitions = workflow.get("definitions") or {}
    subgraphs = definitions.get("subgraphs") or []
    own = {graph.get("id") for graph in subgraphs}
    nodes = [node for graph in (workflow, *subgraphs) for node in graph.get("nodes") or []]
    types = {str(node.get("type", "")) for node in nodes} - own - _DRAWN_BY_THE_FRONTEND
    models = {
        (str(model.get("directory", "")), str(model.get("name", "")))
        for node in nodes
        for model in (node.get("properties") or {}).get("models") or []
    }
    return _Needs(frozenset(types), frozenset(models))


def _marked(template: Mapping[str, Any], needs: _Needs, here: Here, *, most_used: int) -> dict[str, Any]:
    """``most_used``: the largest usage of all templates. What runs here gets more than twice of it, so that it comes
    first also where the usage decides."""
    missing = sorted(needs.nodes - set(here.nodes))
    marked = dict(template)
    description = str(template.get("description", ""))
    if missing:
        named = ", ".join(missing[:_MOST_NAMED]) + (
            f" and {more} more" if (more := len(missing) - _MOST_NAMED) > 0 else ""
        )
        tag, rank = DOES_NOT_RUN, _LAST
        marked |= {"description": f"Does not run here: this server does not have {named}. {description}", "usage": 0}
    elif absent := [name for folder, name in needs.models if not here.has_model(folder, name)]:
        tag, rank = NEEDS_MODELS, 0
        marked["description"] = f"Needs models that are not on this server yet: {len(absent)}. {description}"
    else:
        tag, rank = RUNS, _FIRST
        marked["usage"] = 2 * most_used + (template.get("usage") or 0)
    return marked | {"tags": [tag, *(template.get("tags") or [])], "searchRank": rank}
