"""Results of invocations that returned a graph: which values are links into it, and the values they lead to."""

from collections.abc import Callable, Container, Sequence

from safelight.core.event import NodeCall
from safelight.core.node import OutputSchema
from safelight.graph.instructions import Blocked, Returned
from safelight.graph.lists import Outputs, Values, in_list_form
from safelight.graph.prompt_format import Link, as_link


def result_links(result: Returned | Blocked, graph: Container[str]) -> list[Link | None]:
    """Return, for each value of an expanded result, the link that it is, or ``None``; empty for a result without a
    graph."""
    if isinstance(result, Blocked) or result.expand is None:
        return []
    links = [as_link(value) for value in result.values]
    return [link if link is not None and link.call_id in graph else None for link in links]


def follow(
    result: Returned | Blocked,
    links: Sequence[Link | None],
    values: Callable[[Link], Values],
    *,
    outputs: Sequence[OutputSchema],
) -> Outputs | Blocked:
    """Return the outputs of an invocation, with its links replaced by the values they lead to."""
    if isinstance(result, Blocked):
        return result
    if not links:
        return in_list_form(result.values, outputs)
    return tuple(
        values(link) if link is not None else in_list_form([value], outputs[output_index : output_index + 1])[0]
        for output_index, (value, link) in enumerate(zip(result.values, links, strict=True))
    )


def rebased(call: NodeCall, origin: NodeCall, now: NodeCall) -> NodeCall:
    """Return a call inside an expansion of ``origin`` under its id inside the same expansion of ``now``."""

    def moved(call_id: str) -> str:
        inside = call_id == origin.id or call_id.startswith(f"{origin.id}.")
        return now.id + call_id[len(origin.id) :] if inside else call_id

    display = now.display_id if call.display_id == origin.display_id else call.display_id
    parent = moved(call.parent_id) if call.parent_id is not None else None
    return NodeCall(moved(call.id), display, parent, now.real_id)
