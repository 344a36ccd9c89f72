"""Graphs that nodes build."""

import contextvars

import pytest

from safelight.sdk.expand import GraphBuilder, Origin, enter, is_link, leave


def test_ids_come_from_the_call_its_set_and_the_graph() -> None:
    token = enter(Origin("3", 1))
    try:
        first, second = GraphBuilder(), GraphBuilder()
        assert first.node("A").id == "3.1.0.1"
        assert first.node("A").id == "3.1.0.2"
        assert second.node("A").id == "3.1.1.1"
    finally:
        leave(token)


def test_a_graph_in_api_format() -> None:
    graph = GraphBuilder("p.")
    number = graph.node("Number", id="n", value=1)
    total = graph.node("Add", a=number.out(0), b=["9", 2])
    total.set_input("c", 5)
    total.set_input("b", None)
    total.set_override_display_id("7")
    assert total.get_input("a") == ["p.n", 0]
    assert graph.finalize() == {
        "p.n": {"class_type": "Number", "inputs": {"value": 1}},
        "p.1": {"class_type": "Add", "inputs": {"a": ["p.n", 0], "c": 5}, "override_display_id": "7"},
    }


def test_the_same_id_is_the_same_node() -> None:
    graph = GraphBuilder("p.")
    assert graph.node("A", id="x") is graph.node("A", id="x")
    assert graph.lookup_node("x") is not None
    graph.remove_node("x")
    assert graph.lookup_node("x") is None


def test_an_output_can_be_replaced() -> None:
    graph = GraphBuilder("p.")
    old = graph.node("A", id="old")
    user = graph.node("B", x=old.out(1), y=old.out(0))
    graph.replace_node_output("old", 1, ["elsewhere", 0])
    graph.replace_node_output("old", 0, None)
    assert user.inputs == {"x": ["elsewhere", 0]}


def test_outside_a_call_a_prefix_is_needed() -> None:
    with pytest.raises(RuntimeError, match="no call is running"):
        contextvars.Context().run(GraphBuilder)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(["1", 0], True), (["1", "0"], False), ([1, 0], False), (["1"], False), ("1", False), (["1", True], False)],
)
def test_links(value: object, expected: bool) -> None:
    assert is_link(value) is expected
