"""List semantics: how lists of values are spread over invocations of a node, and how the results are gathered again.

Every value in a graph is a list, mostly of one element. A node is invoked once per element of its longest input,
shorter inputs repeat their last element; a node that takes lists (``INPUT_IS_LIST``) is invoked once with all of them.
An empty list gives no invocation at all, and so empty outputs.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from safelight.core.node import OutputSchema
from safelight.graph.instructions import Blocked

Values = Sequence[Any]
"""The values of one input or output, in list form."""

Outputs = tuple[Values, ...]
"""The values of a call's outputs, by slot."""


class ResultError(ValueError):
    """What a node returned is not what it declared."""


def spread(inputs: Mapping[str, Values], *, as_lists: bool) -> list[dict[str, Any]]:
    """The arguments of each invocation."""
    if as_lists:
        return [{name: list(values) for name, values in inputs.items()}]
    if not inputs:
        return [{}]
    if not all(inputs.values()):
        return []
    count = max(len(values) for values in inputs.values())
    if count == 1:
        return [{name: values[0] for name, values in inputs.items()}]
    return [{name: values[min(i, len(values) - 1)] for name, values in inputs.items()} for i in range(count)]


def find_blocker(arguments: Mapping[str, Any], *, as_lists: bool) -> Blocked | None:
    """The first blocker among the arguments of an invocation; for lists also inside them."""
    for value in arguments.values():
        if isinstance(value, Blocked):
            return value
        if as_lists:
            for element in value:
                if isinstance(element, Blocked):
                    return element
    return None


def in_list_form(values: Sequence[Any], outputs: Sequence[OutputSchema]) -> Outputs:
    """What one invocation gave, with every output as a list. Raises :class:`ResultError`."""
    form: list[Values] = []
    for output_index, value in enumerate(values):
        if output_index >= len(outputs) or not outputs[output_index].is_list or isinstance(value, Blocked):
            form.append([value])
        elif isinstance(value, list | tuple):
            form.append(value)
        else:
            name = outputs[output_index].name
            raise ResultError(f"output {output_index} ({name}) is declared as a list, not {type(value).__name__}")
    return tuple(form)


def gather(results: Sequence[Outputs | Blocked], count: int) -> Outputs:
    """The outputs of a call from those of its invocations, joined. ``count``: outputs that the node declares.

    Only as many outputs as every invocation gave. A blocked invocation gives a blocker for each.
    """
    given = [len(result) for result in results if not isinstance(result, Blocked)]
    if len(results) == len(given) == 1 and not isinstance(results[0], Blocked):
        return results[0]
    indexes = range(min(given) if given else count)
    return tuple(
        [value for r in results for value in ([r] if isinstance(r, Blocked) else r[output_index])]
        for output_index in indexes
    )


def merge_ui(parts: Iterable[Mapping[str, Any] | None]) -> Mapping[str, Any] | None:
    """The UI outputs of several invocations as one: lists under one key follow one another."""
    given = [part for part in parts if part]
    if len(given) <= 1:
        return given[0] if given else None
    merged: dict[str, list[Any]] = {}
    for part in given:
        for key, value in part.items():
            merged.setdefault(key, []).extend(value if isinstance(value, list | tuple) else [value])
    return merged
