"""Lists: mapping, nodes that take and return lists, the repeated last element, empty lists, blockers in them."""

import pytest
from tests.graph.catalogue import node
from tests.graph.fake_runner import FakeRunner, TestNode, graph
from tests.graph.nodes import NODES

from safelight.core.node import OutputSchema
from safelight.graph.instructions import Blocked
from safelight.graph.lists import ResultError, find_blocker, gather, in_list_form, merge_ui, spread


@pytest.mark.parametrize(
    ("inputs", "sets"),
    [
        ({}, [{}]),
        ({"a": [1]}, [{"a": 1}]),
        ({"a": [1, 2, 3], "b": [9]}, [{"a": 1, "b": 9}, {"a": 2, "b": 9}, {"a": 3, "b": 9}]),
        ({"a": [1, 2], "b": [7, 8, 9]}, [{"a": 1, "b": 7}, {"a": 2, "b": 8}, {"a": 2, "b": 9}]),
        ({"a": [], "b": [1, 2]}, []),
    ],
)
def test_spread_repeats_the_last_element(inputs: dict[str, list[int]], sets: list[dict[str, int]]) -> None:
    assert spread(inputs, as_lists=False) == sets


def test_a_node_that_takes_lists_receives_them_in_one_invocation() -> None:
    assert spread({"a": [1, 2], "b": [3]}, as_lists=True) == [{"a": [1, 2], "b": [3]}]
    assert spread({}, as_lists=True) == [{}]


def test_blockers_are_found_inside_lists_only_where_lists_are_taken() -> None:
    blocker = Blocked("no")
    assert find_blocker({"a": 1, "b": blocker}, as_lists=False) is blocker
    assert find_blocker({"a": [1, blocker]}, as_lists=True) is blocker
    assert find_blocker({"a": [1, blocker]}, as_lists=False) is None


def test_results_are_joined_per_output() -> None:
    outputs = (OutputSchema("IMAGE", "IMAGE"), OutputSchema("INT", "INT", is_list=True))
    results = [in_list_form(("x", [1, 2]), outputs), Blocked(), in_list_form(("y", (3,)), outputs)]
    assert gather(results, 2) == (["x", Blocked(), "y"], [1, 2, Blocked(), 3])
    assert gather([], 2) == ([], [])
    assert gather([Blocked()], 1) == ([Blocked()],)


def test_a_blocker_can_replace_a_list() -> None:
    assert in_list_form((Blocked("x"),), (OutputSchema("INT", "INT", is_list=True),)) == ([Blocked("x")],)
    with pytest.raises(ResultError, match="declared as a list, not int"):
        in_list_form((1,), (OutputSchema("INT", "INT", is_list=True),))


def test_ui_outputs_are_concatenated() -> None:
    assert merge_ui([None, {}]) is None
    assert merge_ui([{"text": ("a",)}]) == {"text": ("a",)}
    assert merge_ui([{"text": ["a"]}, None, {"text": ("b",), "n": 1}]) == {"text": ["a", "b"], "n": [1]}


def test_a_list_fans_out_and_is_counted() -> None:
    prompt = graph(
        n1=("Many", {"count": 3}),
        n2=("Invert", {"image": ["1", 0]}),
        n3=("Count", {"images": ["2", 0]}),
        n4=("Save", {"images": ["2", 0]}),
        n5=("Sink", {"value": ["3", 0]}),
    )
    lines = FakeRunner(NODES).play(prompt, "4", "5")
    assert "run 2 (image=i0) (image=i1) (image=i2)" in lines
    assert "run 3 (images=[-i0,-i1,-i2])" in lines
    assert "output 4 {images=[-i0,-i1,-i2]}" in lines
    assert "run 5 (value=3)" in lines


def test_a_call_over_an_empty_list_is_finished_without_running() -> None:
    prompt = graph(n1=("Many", {"count": 0}), n2=("Invert", {"image": ["1", 0]}), n3=("Save", {"images": ["2", 0]}))
    assert FakeRunner(NODES).play(prompt, "3") == [
        "cached",
        "start 1",
        "run 1 (count=0)",
        "finish 1",
        "start 2",
        "finish 2",
        "start 3",
        "finish 3",
        "end completed",
    ]


def test_a_node_that_takes_lists_receives_an_empty_one() -> None:
    prompt = graph(n1=("Many", {"count": 0}), n2=("Count", {"images": ["1", 0]}), n3=("Sink", {"value": ["2", 0]}))
    lines = FakeRunner(NODES).play(prompt, "3")
    assert "run 2 (images=[])" in lines
    assert "run 3 (value=0)" in lines


def test_outputs_beyond_the_declared_ones_are_kept_as_single_values() -> None:
    rich = TestNode(node("Rich", {}, "IMAGE"), lambda: ("x", "extra"))
    prompt = graph(n1=("Rich", {}), n2=("Save", {"images": ["1", 1]}))
    assert "output 2 {images=[extra]}" in FakeRunner(NODES | {"Rich": rich}).play(prompt, "2")
