"""Order and cycles."""

from hypothesis import given
from hypothesis import strategies as st

from safelight.graph.plan import MAX_CYCLES, find_cycle, order


def sources(**links: str) -> dict[str, list[str]]:
    return {call: list(rest) for call, rest in links.items()}


def test_sources_come_first_and_only_what_is_needed() -> None:
    graph = sources(a="", b="a", c="ab", d="c", e="a")
    assert order(["d"], graph.__getitem__).calls == ["a", "b", "c", "d"]
    assert order(["e", "d"], graph.__getitem__).calls == ["a", "e", "b", "c", "d"]


def test_cycles_are_reported_in_data_flow_order() -> None:
    graph = sources(a="c", b="a", c="b", d="c")
    found = order(["d"], graph.__getitem__)
    [cycle] = found.cycles
    assert sorted(cycle) == ["a", "b", "c"]
    for here, there in zip(cycle, [*cycle[1:], cycle[0]], strict=True):
        assert here in graph[there]
    assert sorted(found.calls) == ["a", "b", "c", "d"]


def test_a_call_that_feeds_itself_is_a_cycle() -> None:
    assert order(["a"], sources(a="a").__getitem__).cycles == [["a"]]


def test_find_cycle_looks_at_the_given_calls_only() -> None:
    graph = sources(a="b", b="a", c="a")
    assert sorted(find_cycle(["a", "b", "c"], graph.__getitem__)) == ["a", "b"]
    assert find_cycle(["a", "c"], graph.__getitem__) == []


def test_a_long_chain_does_not_need_a_deep_stack() -> None:
    chain = {str(n): [str(n - 1)] if n else [] for n in range(20_000)}
    assert order(["19999"], chain.__getitem__).calls == list(chain)


def test_many_entangled_cycles_are_reported_in_part() -> None:
    names = [str(n) for n in range(60)]
    assert len(order(names, lambda call: names).cycles) == MAX_CYCLES


GRAPHS = st.integers(1, 12).flatmap(
    lambda size: st.lists(st.lists(st.integers(0, size - 1), max_size=4), min_size=size, max_size=size)
)


@given(GRAPHS)
def test_any_graph_is_ordered_or_has_a_cycle(links: list[list[int]]) -> None:
    graph = {str(n): [str(s) for s in rest] for n, rest in enumerate(links)}
    found = order(list(graph), graph.__getitem__)
    assert sorted(found.calls) == sorted(graph)
    for cycle in found.cycles:
        for here, there in zip(cycle, [*cycle[1:], cycle[0]], strict=True):
            assert here in graph[there]
    if not found.cycles:
        position = {call: n for n, call in enumerate(found.calls)}
        assert all(position[s] < position[call] for call, rest in graph.items() for s in rest)
