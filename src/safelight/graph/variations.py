"""Which values may stand in an input of a valid prompt: the checks of one literal, without those of the whole graph."""

from collections.abc import Mapping, Sequence
from typing import Any

from safelight.core.node import Catalogue
from safelight.graph import literals, validation_errors
from safelight.graph.dynamic import LiveInputs
from safelight.graph.literals import FileExists
from safelight.graph.prompt_format import LITERAL_KEY


def check_values(
    prompt: Mapping[str, Any],
    catalogue: Catalogue,
    *,
    node_id: str,
    name: str,
    values: Sequence[Any],
    file_exists: FileExists,
) -> Mapping[str, Any]:
    """The values as a prompt holds them, by their ``repr``. ``prompt``: valid.

    Raises :class:`~safelight.core.errors.InvalidPrompt` for an input that the node does not have, that is a link or
    that decides which inputs the node has, and for the values that the input cannot have.
    """
    node = prompt.get(node_id)
    if not isinstance(node, Mapping):
        raise validation_errors.invalid_prompt(f"the graph has no node {node_id!r}")
    schema = catalogue[str(node["class_type"])]
    inputs = dict(node.get("inputs") or {})
    items = [item for item in LiveInputs(catalogue).of(schema.name, inputs) if item.declared.id == name]
    if not items or items[0].is_container or isinstance(inputs.get(name), list):
        raise validation_errors.invalid_prompt(
            f"the input {name!r} of node {node_id!r} ({schema.name}) cannot be varied",
            "it does not exist, is a link, or decides which inputs the node has",
        )
    declared = items[0].declared
    errors, converted = [], {}
    for value in values:
        after, error = literals.convert(schema, declared, value)
        error = error or literals.check_prefix(schema, declared, after)
        if error is None and literals.names_file(declared):
            error = literals.check_file(declared, after, file_exists)
        elif error is None:
            error = literals.check_range(schema, declared, after)
        if error is not None:
            errors.append(error)
        converted[repr(value)] = {LITERAL_KEY: after} if isinstance(after, list) else after
    if errors:
        node_errors = {node_id: {"errors": errors[:100], "dependent_outputs": [], "class_type": schema.name}}
        raise validation_errors.outputs_failed([validation_errors.line(error) for error in errors[:100]], node_errors)
    return converted
