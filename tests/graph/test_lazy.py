"""Lazy inputs: requested, not requested, requested again, and in a cycle."""

import pytest
from tests.graph.catalogue import node
from tests.graph.fake_runner import FakeRunner, TestNode, graph
from tests.graph.nodes import LAZY, NODES

from safelight.graph.cache import LimitedCache


def mixing(mask: float) -> dict[str, object]:
    return graph(
        n1=("Load", {"name": "a"}),
        n2=("Load", {"name": "b"}),
        n3=("Mix", {"a": ["1", 0], "b": ["2", 0], "mask": mask}),
        n4=("Save", {"images": ["3", 0]}),
    )


def test_a_lazy_call_is_started_before_and_after_its_lazy_inputs() -> None:
    assert FakeRunner(NODES).play(mixing(0.0), "4") == [
        "cached",
        "start 3",
        "lazy 3 (a=None b=None mask=0.0)",
        "start 1",
        "run 1 (name=a)",
        "finish 1",
        "start 3",
        "lazy 3 (a=a b=None mask=0.0)",
        "run 3 (a=a b=None mask=0.0)",
        "finish 3",
        "start 4",
        "run 4 (images=(a))",
        "output 4 {images=[(a)]}",
        "finish 4",
        "end completed",
    ]


@pytest.mark.parametrize(("mask", "ran"), [(0.0, ["1", "3", "4"]), (1.0, ["2", "3", "4"]), (0.5, ["1", "2", "3", "4"])])
def test_a_lazy_input_that_is_never_requested_never_runs(mask: float, ran: list[str]) -> None:
    runner = FakeRunner(NODES)
    runner.play(mixing(mask), "4")
    assert runner.ran == ran


def test_a_lazy_input_that_is_already_computed_starts_nothing_twice() -> None:
    runner = FakeRunner(NODES, cache=LimitedCache())
    runner.play(graph(n1=("Load", {"name": "a"}), n2=("Sink", {"value": ["1", 0]})), "2")
    lines = runner.play(mixing(0.0), "4")
    assert lines[:6] == [
        "cached 1",
        "start 3",
        "lazy 3 (a=None b=None mask=0.0)",
        "lazy 3 (a=a b=None mask=0.0)",
        "run 3 (a=a b=None mask=0.0)",
        "finish 3",
    ]


def test_a_lazy_input_that_is_not_requested_is_none_even_if_it_is_computed() -> None:
    prompt = mixing(0.0) | graph(n5=("Save", {"images": ["2", 0]}))
    runner = FakeRunner(NODES)
    lines = runner.play(prompt, "5", "4")
    assert runner.ran == ["2", "5", "1", "3", "4"]
    assert "run 3 (a=a b=None mask=0.0)" in lines


def test_a_lazy_branch_runs_its_sources_and_shares_what_has_run() -> None:
    prompt = mixing(0.0) | graph(
        n1=("Invert", {"image": ["5", 0]}),
        n5=("Load", {"name": "a"}),
        n6=("Save", {"images": ["5", 0]}),
    )
    runner = FakeRunner(NODES)
    runner.play(prompt, "4", "6")
    assert runner.ran == ["5", "6", "1", "3", "4"]


def test_a_lazy_input_can_be_requested_after_another() -> None:
    one_by_one = TestNode(
        node("Steps", {"a": LAZY, "b": LAZY}, "IMAGE"),
        lambda a, b: (a + b,),
        lazy=lambda a, b: ["a"] if a is None else ["b"] if b is None else [],
    )
    prompt = graph(
        n1=("Load", {"name": "a"}),
        n2=("Load", {"name": "b"}),
        n3=("Steps", {"a": ["1", 0], "b": ["2", 0]}),
        n4=("Save", {"images": ["3", 0]}),
    )
    runner = FakeRunner(NODES | {"Steps": one_by_one})
    lines = runner.play(prompt, "4")
    assert runner.ran == ["1", "2", "3", "4"]
    assert [line for line in lines if line.endswith(" 3") and line.startswith("start")] == ["start 3"] * 3


def test_requesting_an_unknown_lazy_input_runs_the_call() -> None:
    odd = TestNode(node("Odd", {"a": LAZY}, output=True), lambda a: (), lazy=lambda a: ["nope", "mask"])
    prompt = graph(n1=("Load", {"name": "a"}), n2=("Odd", {"a": ["1", 0]}))
    assert "run 2 (a=None)" in FakeRunner(NODES | {"Odd": odd}).play(prompt, "2")


def test_lazy_calls_that_request_each_other_fail_the_job() -> None:
    prompt = graph(
        n1=("Load", {"name": "a"}),
        n2=("Mix", {"a": ["1", 0], "b": ["3", 0], "mask": 1.0}),
        n3=("Mix", {"a": ["1", 0], "b": ["2", 0], "mask": 1.0}),
        n4=("Save", {"images": ["3", 0]}),
    )
    runner = FakeRunner(NODES)
    lines = runner.play(prompt, "4")
    assert [line for line in lines if line.startswith("start")] == ["start 3", "start 2"]
    assert lines[-1] == "end failed 2 Dependency cycle detected: 2 -> 3 -> 2"


def test_the_check_is_mapped_over_lists_and_the_answers_are_joined() -> None:
    prompt = graph(
        n1=("Load", {"name": "a"}),
        n2=("Load", {"name": "b"}),
        n3=("Masks", {}),
        n4=("Mix", {"a": ["1", 0], "b": ["2", 0], "mask": ["3", 0]}),
        n5=("Save", {"images": ["4", 0]}),
    )
    masks = TestNode(node("Masks", {}, "FLOAT[]"), lambda: ([0.0, 1.0],))
    runner = FakeRunner(NODES | {"Masks": masks})
    lines = runner.play(prompt, "5")
    assert "lazy 4 (a=None b=None mask=0.0) (a=None b=None mask=1.0)" in lines
    assert "run 4 (a=a b=b mask=0.0) (a=a b=b mask=1.0)" in lines
    assert "output 5 {images=[(a),(b)]}" in lines
