"""Topological order of a graph, and its cycles. Iterative, because graphs are deeper than Python's stack."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

MAX_CYCLES = 20
"""Maximum number of cycles reported; a graph may have more cycles than calls."""

Sources = Callable[[str], Iterable[str]]
"""Return the calls from which a call takes its inputs."""


@dataclass(frozen=True, slots=True)
class Order:
    """``calls``: the targets and everything they depend on, sources first; ``cycles``: each in data-flow order."""

    calls: list[str] = field(default_factory=list)
    cycles: list[list[str]] = field(default_factory=list)


def order(targets: Iterable[str], sources: Sources) -> Order:
    """Return ``targets`` and everything they depend on, sources first.

    With cycles, every call is still listed once, and at least one cycle of each strongly connected component is
    reported.
    """
    found = Order()
    done: set[str] = set()
    path: dict[str, int] = {}  # the calls from the target to the current one, with their depth
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
                # The walk goes against the data flow, so the path back to the source is reversed.
                found.cycles.append([step for step, _ in stack[: path[source] - 1 if path[source] else None : -1]])
            elif source not in done and source not in path:
                path[source] = len(stack)
                stack.append((source, iter(sources(source))))
    return found


def find_cycle(calls: Sequence[str], sources: Sources) -> list[str]:
    """Return a cycle among ``calls`` in data-flow order; empty if there is none."""
    inside = set(calls)
    found = order(calls, lambda call: (s for s in sources(call) if s in inside))
    return found.cycles[0] if found.cycles else []
