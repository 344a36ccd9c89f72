"""The calls of a job: those of the prompt and those that expansions add while it runs.

A call that an expansion made has a dotted id below its parent's. ``display_id`` is the node on which the user sees it;
``real_id`` is the node of the prompt that it came from, and the one that errors name.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from safelight.core.event import NodeCall
from safelight.core.node import Catalogue, NodeSchema
from safelight.graph.dynamic import DYNAMIC_COMBO, LiveInput, LiveInputs
from safelight.graph.link_types import COMBO
from safelight.graph.prompt_format import Link, as_link, literal

_NOT_USER_TEXT = frozenset({"INT", "FLOAT", "BOOLEAN", COMBO, DYNAMIC_COMBO})


class ExpansionError(ValueError):
    """The expansion that a node returned is not a graph that can replace the call."""


@dataclass(frozen=True, slots=True)
class CallInputs:
    """A call's inputs by flat name. ``raw`` links are passed to the node as links; ``lazy`` ones are evaluated only
    when the node requests them. A link that is both counts as raw."""

    live: Sequence[LiveInput]
    literals: Mapping[str, Any]
    links: Mapping[str, Link]
    raw: frozenset[str]
    lazy: frozenset[str]
    has_user_text: bool
    """Whether a literal is the user's own text or data, rather than a number or a choice."""


class CallGraph:
    """Mutable: expansions add calls. The runner wraps it for nodes that request the graph (``DYNPROMPT``)."""

    def __init__(self, prompt: Mapping[str, Any], catalogue: Catalogue) -> None:
        self.prompt = prompt
        """The graph as it was submitted."""
        self._catalogue = catalogue
        self._live = LiveInputs(catalogue)
        self._nodes: dict[str, Mapping[str, Any]] = dict(prompt)
        self._calls: dict[str, NodeCall] = {}
        self._inputs: dict[str, CallInputs] = {}

    def __contains__(self, call_id: object) -> bool:
        return call_id in self._nodes

    def __iter__(self) -> Iterator[str]:
        return iter(self._nodes)

    def node(self, call_id: str) -> Mapping[str, Any]:
        """Return ``{"class_type", "inputs", ...}`` as submitted or returned. Raises :class:`KeyError`."""
        return self._nodes[call_id]

    def call(self, call_id: str) -> NodeCall:
        found = self._calls.get(call_id)
        if found is None:
            found = self._calls[call_id] = NodeCall(call_id, call_id, None, call_id)
        return found

    def schema(self, call_id: str) -> NodeSchema:
        """Raises :class:`KeyError` for a node that this worker doesn't have."""
        return self._catalogue[self._nodes[call_id]["class_type"]]

    def inputs(self, call_id: str) -> CallInputs:
        found = self._inputs.get(call_id)
        if found is None:
            found = self._inputs[call_id] = self._read_inputs(call_id)
        return found

    def sources(self, call_id: str) -> list[str]:
        """Return the ids of the calls that feed a call, in the order of its inputs."""
        return [link.call_id for link in self.inputs(call_id).links.values()]

    def add(self, parent: NodeCall, graph: Mapping[str, Any]) -> list[str]:
        """Add the expansion of ``parent``; return the new ids. Raises :class:`ExpansionError` without adding
        anything."""
        for call_id, node in graph.items():
            if call_id in self._nodes:
                raise ExpansionError(
                    f"the expansion has a node {call_id!r}, which exists already; "
                    "ids must be new, and the same on every run"
                )
            class_type = node.get("class_type") if isinstance(node, Mapping) else None
            if class_type not in self._catalogue:
                raise ExpansionError(
                    f"the expansion's node {call_id!r} is of class {class_type!r}, which does not exist"
                )
            for name, value in (node.get("inputs") or {}).items():
                link = as_link(value)
                if link is not None and link.call_id not in self._nodes and link.call_id not in graph:
                    raise ExpansionError(
                        f"input {name!r} of the expansion's node {call_id!r} is linked to {link.call_id!r}, "
                        "which does not exist"
                    )
        for call_id, node in graph.items():
            self._nodes[call_id] = node
            display = str(node.get("override_display_id") or parent.display_id)
            self._calls[call_id] = NodeCall(call_id, display, parent.id, parent.real_id)
        return list(graph)

    def _read_inputs(self, call_id: str) -> CallInputs:
        node = self._nodes[call_id]
        given: Mapping[str, Any] = node.get("inputs") or {}
        live = self._live.of(node["class_type"], given)
        declared = {item.declared.id: item.declared for item in live if not item.is_container}
        literals: dict[str, Any] = {}
        links: dict[str, Link] = {}
        for name, value in given.items():
            link = as_link(value)
            if link is not None:
                # Only an undeclared link can lead nowhere here; it is dropped, like an undeclared literal.
                if link.call_id in self._nodes:
                    links[name] = link
            elif name in declared:
                literals[name] = literal(value)
        raw = frozenset(n for n in links if n in declared and declared[n].is_raw_link)
        lazy = frozenset(n for n in links if n in declared and declared[n].is_lazy) - raw
        has_user_text = any(declared[name].type not in _NOT_USER_TEXT for name in literals)
        return CallInputs(live, literals, links, raw, lazy, has_user_text)
