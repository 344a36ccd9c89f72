"""Build a graph that replaces the call that returns it: ``graph.node("ImageScale", image=x).out(0)``.

The ids of its nodes must be new in the prompt and the same on every run, so that their results can be cached; they are
derived from the call that builds the graph: ``<call id>.<set index>.<graph index>.<n>``.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from itertools import count
from typing import Any

from safelight.graph.prompt_format import as_link

Link = list[Any]
"""``[id, output index]``: the output of a node."""

_origin: ContextVar[Origin] = ContextVar("safelight_expansion")


class Origin:
    """The invocation that builds graphs: a call, and the index of its argument set. Mutable: numbers its graphs."""

    def __init__(self, call_id: str, index: int) -> None:
        self._prefix = f"{call_id}.{index}"
        self._graphs = count()

    def next_prefix(self) -> str:
        return f"{self._prefix}.{next(self._graphs)}."


def enter(origin: Origin) -> Token[Origin]:
    """Make graphs built in this task or thread belong to ``origin``; return the token for :func:`leave`."""
    return _origin.set(origin)


def leave(token: Token[Origin]) -> None:
    _origin.reset(token)


def is_link(value: Any) -> bool:
    """Return whether an input of a graph in API format is a link rather than a literal."""
    return as_link(value) is not None


class GraphNode:
    """A node of a graph that is being built. Inputs are literals, live values or links (:meth:`out`)."""

    def __init__(self, id: str, class_type: str, inputs: dict[str, Any]) -> None:
        self.id = id
        self.class_type = class_type
        self.inputs = inputs
        self._display_id: str | None = None

    def out(self, index: int) -> Link:
        return [self.id, index]

    def set_input(self, name: str, value: Any) -> None:
        """Set an input; ``None`` removes it."""
        if value is None:
            self.inputs.pop(name, None)
        else:
            self.inputs[name] = value

    def get_input(self, name: str) -> Any:
        return self.inputs.get(name)

    def set_override_display_id(self, node_id: str) -> None:
        """Show this node's progress and outputs on ``node_id`` instead of the node that expanded."""
        self._display_id = node_id

    def as_dict(self) -> dict[str, Any]:
        written: dict[str, Any] = {"class_type": self.class_type, "inputs": self.inputs}
        return written if self._display_id is None else written | {"override_display_id": self._display_id}


class GraphBuilder:
    """Mutable: the nodes so far. ``prefix``: only for graphs that are built outside a call, for example in a test."""

    def __init__(self, prefix: str | None = None) -> None:
        if prefix is None:
            origin = _origin.get(None)
            if origin is None:
                raise RuntimeError("no call is running here; a graph that replaces a call must be built inside it")
            prefix = origin.next_prefix()
        self._prefix = prefix
        self._numbers = count(1)
        self.nodes: dict[str, GraphNode] = {}

    def node(self, class_type: str, id: str | None = None, **inputs: Any) -> GraphNode:
        """Add a node; if ``id`` exists, return the existing node."""
        full_id = f"{self._prefix}{next(self._numbers) if id is None else id}"
        if full_id not in self.nodes:
            self.nodes[full_id] = GraphNode(full_id, class_type, inputs)
        return self.nodes[full_id]

    def lookup_node(self, id: str) -> GraphNode | None:
        return self.nodes.get(f"{self._prefix}{id}")

    def remove_node(self, id: str) -> None:
        self.nodes.pop(f"{self._prefix}{id}")

    def replace_node_output(self, id: str, index: int, value: Any) -> None:
        """Replace every link to an output by ``value``; ``None`` removes those inputs."""
        old = [f"{self._prefix}{id}", index]
        for node in self.nodes.values():
            for name in [n for n, v in node.inputs.items() if is_link(v) and v == old]:
                node.set_input(name, value)

    def finalize(self) -> dict[str, Any]:
        """Return the graph in API format, for ``NodeOutput(..., expand=graph.finalize())``."""
        return {node.id: node.as_dict() for node in self.nodes.values()}
