"""Parse a graph in API format, ``{id: {"class_type", "inputs"}}``: links, wrapped literals, malformed graphs.

Knows the shape of a prompt, not the meaning of its inputs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from safelight.core.node import Catalogue, NodeSchema
from safelight.graph import validation_errors

LITERAL_KEY = "__value__"
"""Clients wrap a literal list in ``{"__value__": [...]}``, since a bare list is a link."""


class Link(NamedTuple):
    """A link to output ``output_index`` of the call ``call_id``."""

    call_id: str
    output_index: int


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds of a prompt; beyond them it is an :class:`InvalidPrompt`."""

    nodes: int = 10_000
    depth: int = 64
    """Levels of nested lists and objects in one input value."""
    reported_nodes: int = 1_000
    """Maximum number of nodes whose errors are listed."""
    reported_outputs: int = 100
    """Maximum number of dependent outputs listed per node."""


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class PromptNode:
    """A node of a prompt. ``inputs`` is ``None`` if the client omitted the key."""

    id: str
    schema: NodeSchema
    inputs: Mapping[str, Any] | None


def as_link(value: object) -> Link | None:
    """Return the value as a link if it is one, a list of a call id and an output index; otherwise ``None``."""
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and type(value[1]) is int:
        return Link(value[0], value[1])
    return None


def literal(value: Any) -> Any:
    """Unwrap a literal."""
    if isinstance(value, Mapping) and len(value) == 1 and LITERAL_KEY in value:
        return value[LITERAL_KEY]
    return value


def read_nodes(prompt: object, catalogue: Catalogue, *, limits: Limits) -> dict[str, PromptNode]:
    """Return the nodes of a prompt with their schemas. Raises :class:`InvalidPrompt` for anything but a graph of known
    nodes."""
    if isinstance(prompt, list) and not prompt:
        raise validation_errors.no_outputs()  # some clients send an empty list for an empty graph
    if not isinstance(prompt, Mapping):
        raise validation_errors.invalid_prompt(
            "The prompt must be an object of nodes by id", f"received {_kind(prompt)}"
        )
    check_size(len(prompt), limits)
    if is_workflow(prompt):
        raise validation_errors.workflow_instead()
    return {node_id: _read_node(node_id, node, catalogue, limits) for node_id, node in prompt.items()}


def is_workflow(value: object) -> bool:
    """Return whether ``value`` is a workflow as the editor saves it, instead of a graph in API format."""
    return isinstance(value, Mapping) and isinstance(value.get("nodes"), list)


def check_size(nodes: int, limits: Limits) -> None:
    """Raise :class:`InvalidPrompt` for a graph with too many nodes, before any work per node."""
    if nodes > limits.nodes:
        details = f"{nodes} nodes; at most {limits.nodes} are allowed"
        raise validation_errors.invalid_prompt("The prompt has too many nodes", details)


def _read_node(node_id: object, node: object, catalogue: Catalogue, limits: Limits) -> PromptNode:
    where = f"Node ID '#{node_id}'"
    if not isinstance(node_id, str):
        raise validation_errors.invalid_prompt("Cannot execute because a node's id is not a string.", where)
    class_type = node.get("class_type") if isinstance(node, Mapping) else None
    if not isinstance(node, Mapping) or class_type is None:
        raise validation_errors.invalid_prompt(
            "Cannot execute because a node is missing the class_type property.", where
        )
    schema = catalogue.get(class_type) if isinstance(class_type, str) else None
    if schema is None and isinstance(class_type, str):
        raise validation_errors.missing_node(node_id, node, where)
    if schema is None:
        raise validation_errors.invalid_prompt(f"Cannot execute because node {class_type} does not exist.", where)
    inputs = node.get("inputs")
    if inputs is None and "inputs" not in node:
        return PromptNode(node_id, schema, None)
    if not isinstance(inputs, Mapping):
        raise validation_errors.invalid_prompt("Cannot execute because a node's inputs are not an object.", where)
    for name, value in inputs.items():
        if isinstance(value, list | Mapping) and _is_deeper_than(value, limits.depth):
            details = f"{where}, input '{name}': more than {limits.depth} levels"
            raise validation_errors.invalid_prompt(
                "Cannot execute because an input value is nested too deeply.", details
            )
    return PromptNode(node_id, schema, inputs)


def _is_deeper_than(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, Mapping) else outer)
            if isinstance(inner, list | Mapping)
        ]
        if not level:
            return False
    return True


def _kind(value: object) -> str:
    names = {type(None): "null", str: "a string", bool: "a boolean", int: "a number", float: "a number", list: "a list"}
    return names.get(type(value), type(value).__name__)
