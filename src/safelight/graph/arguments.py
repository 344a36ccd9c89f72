"""The arguments of a call: one set per invocation, without the invocations that a blocker stops."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from safelight.core.node import NodeSchema
from safelight.graph.dynamic import LiveInput, nest
from safelight.graph.instructions import ArgumentSet
from safelight.graph.lists import Values, find_blocker, spread


@dataclass(frozen=True, slots=True)
class Arguments:
    """``sets``: the invocations that can run, out of ``count``; ``messages``: those of the blockers in the others."""

    sets: Sequence[ArgumentSet]
    count: int
    messages: Sequence[str]


def arguments_for(schema: NodeSchema, live: Sequence[LiveInput], values: Mapping[str, Values]) -> Arguments:
    """Return the argument sets for ``values``, the flat inputs in list form."""
    as_lists = schema.input_is_list
    sets: list[ArgumentSet] = []
    messages: list[str] = []
    invocations = spread(values, as_lists=as_lists)
    for index, arguments in enumerate(invocations):
        blocker = find_blocker(arguments, as_lists=as_lists)
        if blocker is None:
            sets.append(ArgumentSet(index, nest(live, arguments)))
        elif blocker.message is not None:
            messages.append(blocker.message)
    return Arguments(sets, len(invocations), list(dict.fromkeys(messages)))
