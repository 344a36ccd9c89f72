"""Run a graph in API format with the nodes of the library, one call after the other, without a server."""

import copy
from collections.abc import Mapping
from functools import cache
from typing import Any

import safelight.nodes
from safelight.sdk.in_pieces import with_whole_values
from safelight.sdk.node import Node
from safelight.sdk.registry import discover

Graph = dict[str, dict[str, Any]]


@cache
def library() -> Mapping[str, type[Node]]:
    return discover(safelight.nodes)


def run_graph(graph: Graph) -> dict[str, tuple[Any, ...]]:
    """The outputs of every call, by its id."""
    done: dict[str, tuple[Any, ...]] = {}

    def outputs(call: str) -> tuple[Any, ...]:
        if call not in done:
            node = library()[graph[call]["class_type"]]
            inputs = {name: value(given) for name, given in graph[call]["inputs"].items()}
            inputs = with_whole_values(inputs, besides=node.reads_in_pieces)
            done[call] = tuple(node.execute(**_with_choices(inputs)).values)
        return done[call]

    def value(given: Any) -> Any:
        return outputs(given[0])[given[1]] if isinstance(given, list) else given

    for call in graph:
        outputs(call)
    return done


def _with_choices(inputs: dict[str, Any]) -> dict[str, Any]:
    """Inputs of a choice (``format.quality``) in the value of the choice, as nodes get them."""
    made = {name: given for name, given in inputs.items() if "." not in name}
    for name, given in inputs.items():
        choice, _, own = name.partition(".")
        if own:
            chosen = made.get(choice, {})  # a group that grows has no value of its own
            made[choice] = chosen if isinstance(chosen, dict) else {choice: chosen}
            made[choice][own] = given
    return made


def with_inputs(graph: Graph, **changes: Any) -> Graph:
    """A copy in which every call that has one of these inputs has this value for it."""
    changed = copy.deepcopy(graph)
    for call in changed.values():
        call["inputs"] |= {name: given for name, given in changes.items() if name in call["inputs"]}
    return changed
