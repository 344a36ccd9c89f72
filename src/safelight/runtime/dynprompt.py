"""The graph for nodes that request ``DYNPROMPT``: the prompt, and what expansions have added so far."""

from collections.abc import Mapping
from typing import Any

from safelight.graph.calls import CallGraph


class DynPrompt:
    """Read-only; the methods have ComfyUI's names."""

    def __init__(self, graph: CallGraph) -> None:
        self._graph = graph

    def get_node(self, node_id: str) -> Mapping[str, Any]:
        """Return ``{"class_type", "inputs"}``. Raises :class:`KeyError`."""
        return self._graph.node(node_id)

    def has_node(self, node_id: str) -> bool:
        return node_id in self._graph

    def all_node_ids(self) -> set[str]:
        return set(self._graph)

    def get_original_prompt(self) -> Mapping[str, Any]:
        return self._graph.prompt

    def get_real_node_id(self, node_id: str) -> str:
        return self._graph.call(node_id).real_id

    def get_display_node_id(self, node_id: str) -> str:
        return self._graph.call(node_id).display_id

    def get_parent_node_id(self, node_id: str) -> str | None:
        return self._graph.call(node_id).parent_id
