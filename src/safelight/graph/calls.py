"""The calls of a job: those of the prompt and those that expansions add while it runs.

A call that an expansion made has a dotted id below its parent's. ``display_id`` is the node on which the user sees it,
``real_id`` the node of the prompt that it came from; errors are blamed on that one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from safelight.core.event import NodeCall
from safelight.core.node import Catalogue, NodeSchema
from safelight.graph.dynamic import DYNAMIC_COMBO, LiveInput, LiveInputs
from safelight.graph.link_types import COMBO
from safelight.graph.prompt import Link, as_link, literal

_IMPERSONAL = frozenset({"INT", "FLOAT", "BOOLEAN", COMBO, DYNAMIC_COMBO})


class ExpansionError(ValueError):
    """What a node returned as an expansion is no graph that can take the call's place."""


@dataclass(frozen=True, slots=True)
class CallInputs:
    """A call's inputs by flat name. Of the ``links`` the ``raw`` ones are handed to the node as links, the ``lazy``
    ones wait until the node asks for them. A link that is both is an ordinary raw one."""

    live: Sequence[LiveInput]
    literals: Mapping[str, Any]
    links: Mapping[str, Link]
    raw: frozenset[str]
    lazy: frozenset[str]
    has_own_words: bool
    """Some literal is the user's own, a text or data, rather than a number or a choice."""


class CallGraph:
    """Mutable: it grows. Nodes that ask for the graph (``DYNPROMPT``) see it through a wrapper of the runner's."""

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
        """``{"class_type", "inputs", ...}``, as it was submitted or returned. Raises :class:`KeyError`."""
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
        """The calls that feed a call, in the order of its inputs."""
        return [link.call_id for link in self.inputs(call_id).links.values()]

    def add(self, parent: NodeCall, graph: Mapping[str, Any]) -> list[str]:
        """Add what ``parent`` expanded to. Raises :class:`ExpansionError`, and then nothing was added."""
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
                # A link that leads nowhere can only be undeclared here, and is dropped as an unknown literal is.
                if link.call_id in self._nodes:
                    links[name] = link
            elif name in declared:
                literals[name] = literal(value)
        raw = frozenset(n for n in links if n in declared and declared[n].is_raw_link)
        lazy = frozenset(n for n in links if n in declared and declared[n].is_lazy) - raw
        has_own_words = any(declared[name].type not in _IMPERSONAL for name in literals)
        return CallInputs(live, literals, links, raw, lazy, has_own_words)
