"""List semantics: how a node is mapped over lists of values, and how the results are joined.

Every value in a graph is a list, usually of one element. A node is invoked once per element of its longest input;
shorter inputs repeat their last element. A node that takes lists (``INPUT_IS_LIST``) is invoked once with all of them.
An empty list means no invocation, and so empty outputs.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from safelight.core.node import OutputSchema
from safelight.graph.instructions import Blocked

Values = Sequence[Any]
"""The values of one input or output, in list form."""

Outputs = tuple[Values, ...]
"""The values of a call's outputs, by output index."""


class ResultError(ValueError):
    """A node returned something other than what it declared."""


def spread(inputs: Mapping[str, Values], *, as_lists: bool) -> list[dict[str, Any]]:
    """Return the arguments of each invocation."""
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
    """Return the first blocker among the arguments of an invocation; with ``as_lists``, also inside the lists."""
    for value in arguments.values():
        if isinstance(value, Blocked):
            return value
        if as_lists:
            for element in value:
                if isinstance(element, Blocked):
                    return element
    return None


def in_list_form(values: Sequence[Any], outputs: Sequence[OutputSchema]) -> Outputs:
    """Return the results of one invocation with every output as a list. Raises :class:`ResultError`."""
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
    """Join the outputs of a call's invocations. ``count``: number of outputs that the node declares.

    Only outputs that every invocation returned are kept. A blocked invocation contributes a blocker to each output.
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
    """Merge the UI outputs of several invocations: lists under the same key are concatenated."""
    given = [part for part in parts if part]
    if len(given) <= 1:
        return given[0] if given else None
    merged: dict[str, list[Any]] = {}
    for part in given:
        for key, value in part.items():
            merged.setdefault(key, []).extend(value if isinstance(value, list | tuple) else [value])
    return merged
