"""The order of a graph: what comes before what, and whether it goes round in circles. Iterative: graphs are deep."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

MAX_CYCLES = 20
"""Cycles that are told; a graph may have more of them than calls."""

Sources = Callable[[str], Iterable[str]]
"""The calls from which a call takes its inputs."""


@dataclass(frozen=True, slots=True)
class Order:
    """``calls``: everything that the targets rest on, sources first; ``cycles``: each in the direction of the data."""

    calls: list[str] = field(default_factory=list)
    cycles: list[list[str]] = field(default_factory=list)


def order(targets: Iterable[str], sources: Sources) -> Order:
    """Everything that ``targets`` rest on, in an order in which it can be computed.

    Where there are cycles, every call still comes once, and at least one cycle of each knot is told.
    """
    found = Order()
    done: set[str] = set()
    path: dict[str, int] = {}  # the calls between a target and here, with their depth
    for target in targets:
        if target in done:
            continue
        stack = [(target, iter(sources(target)))]
        path[target] = 0
        while stack:
            call, rest = stack[-1]
            source = next(rest, None)
            if source is None:
                stack.pop()
                del path[call]
                done.add(call)
                found.calls.append(call)
            elif source in path and len(found.cycles) < MAX_CYCLES:
                # We walk against the data, so the path from here back to the source is reversed.
                found.cycles.append([step for step, _ in stack[: path[source] - 1 if path[source] else None : -1]])
            elif source not in done and source not in path:
                path[source] = len(stack)
                stack.append((source, iter(sources(source))))
    return found


def find_cycle(calls: Sequence[str], sources: Sources) -> list[str]:
    """A cycle among ``calls``, in the direction of the data; empty if there is none."""
    inside = set(calls)
    found = order(calls, lambda call: (s for s in sources(call) if s in inside))
    return found.cycles[0] if found.cycles else []
