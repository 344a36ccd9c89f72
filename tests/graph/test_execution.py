"""The instructions for a prompt and their order: plain runs, failures, caching."""

import pytest
from tests.graph.catalogue import node
from tests.graph.fake_runner import FakeRunner, TestNode, graph
from tests.graph.nodes import NODES

from safelight.core.job import JobState
from safelight.graph import instructions as do
from safelight.graph.cache import LimitedCache, NoCache
from safelight.graph.execution import Execution, ProtocolError

CHAIN = graph(
    n1=("Load", {"name": "x"}),
    n2=("Invert", {"image": ["1", 0]}),
    n3=("Invert", {"image": ["2", 0]}),
    n4=("Save", {"images": ["3", 0]}),
)


def test_a_chain_runs_in_order_and_reports_each_call() -> None:
    assert FakeRunner(NODES).play(CHAIN, "4") == [
        "cached",
        "start 1",
        "run 1 (name=x)",
        "finish 1",
        "start 2",
        "run 2 (image=x)",
        "finish 2",
        "start 3",
        "run 3 (image=-x)",
        "finish 3",
        "start 4",
        "run 4 (images=--x)",
        "output 4 {images=[--x]}",
        "finish 4",
        "end completed",
    ]


def test_only_what_the_targets_depend_on_runs() -> None:
    prompt = CHAIN | graph(n5=("Save", {"images": ["2", 0]}), n6=("Load", {"name": "unused"}))
    runner = FakeRunner(NODES)
    runner.play(prompt, "5")
    assert runner.ran == ["1", "2", "5"]


def test_a_rerun_reports_everything_cached_and_shows_the_output_again() -> None:
    runner = FakeRunner(NODES, cache=LimitedCache())
    runner.play(CHAIN, "4")
    assert runner.play(CHAIN, "4") == [
        "cached 1 2 3 4",
        "output 4 {images=[--x]} cached",
        "finish 4",
        "end completed",
    ]
    assert runner.finish is not None
    assert runner.finish.executed == ()


def test_a_cached_output_without_ui_is_shown_as_none() -> None:
    runner = FakeRunner(NODES, cache=LimitedCache())
    prompt = graph(n1=("Load", {"name": "x"}), n2=("Sink", {"value": ["1", 0]}))
    assert "output" not in " ".join(runner.play(prompt, "2"))
    assert runner.play(prompt, "2") == ["cached 1 2", "output 2 None cached", "finish 2", "end completed"]


def test_a_changed_literal_reruns_its_call_and_its_dependents() -> None:
    prompt = CHAIN | graph(n5=("Load", {"name": "y"}), n3=("Join", {"a": ["2", 0], "b": ["5", 0]}))
    runner = FakeRunner(NODES, cache=LimitedCache())
    runner.play(prompt, "4")
    changed = prompt | graph(n5=("Load", {"name": "z"}))
    lines = runner.play(changed, "4")
    assert lines[0] == "cached 1 2"
    assert runner.ran == ["5", "3", "4"]


def test_equal_calls_of_one_job_run_once() -> None:
    prompt = graph(
        n1=("Load", {"name": "x"}),
        n2=("Load", {"name": "x"}),
        n3=("Join", {"a": ["1", 0], "b": ["2", 0]}),
        n4=("Save", {"images": ["3", 0]}),
    )
    runner = FakeRunner(NODES, cache=LimitedCache())
    lines = runner.play(prompt, "4")
    assert runner.ran == ["2", "3", "4"]
    assert "run 3 (a=x b=x)" in lines


def test_without_a_cache_a_diamond_still_runs_each_call_once() -> None:
    prompt = graph(
        n1=("Load", {"name": "x"}),
        n2=("Invert", {"image": ["1", 0]}),
        n3=("Join", {"a": ["1", 0], "b": ["2", 0]}),
        n4=("Join", {"a": ["3", 0], "b": ["1", 0]}),
        n5=("Save", {"images": ["4", 0]}),
    )
    runner = FakeRunner(NODES, cache=NoCache())
    lines = runner.play(prompt, "5")
    assert runner.ran == ["1", "2", "3", "4", "5"]
    assert "output 5 {images=[x-xx]}" in lines


def test_an_output_runs_first_then_a_call_that_feeds_one() -> None:
    prompt = graph(
        n1=("Load", {"name": "x"}),
        n2=("Invert", {"image": ["1", 0]}),
        n3=("Invert", {"image": ["2", 0]}),
        n4=("Save", {"images": ["3", 0]}),
        n5=("Save", {"images": ["1", 0]}),
        n6=("Join", {"a": ["1", 0], "b": ["1", 0]}),
        n7=("Save", {"images": ["6", 0]}),
    )
    runner = FakeRunner(NODES)
    runner.play(prompt, "4", "5", "7")
    assert runner.ran == ["1", "5", "6", "7", "2", "3", "4"]


def test_a_failure_ends_the_job_and_names_the_call() -> None:
    prompt = graph(
        n1=("Load", {"name": "x"}),
        n2=("Fail", {"image": ["1", 0]}),
        n3=("Save", {"images": ["2", 0]}),
        n4=("Save", {"images": ["1", 0]}),
    )
    runner = FakeRunner(NODES)
    assert runner.play(prompt, "3", "4") == [
        "cached",
        "start 1",
        "run 1 (name=x)",
        "finish 1",
        "start 4",
        "run 4 (images=x)",
        "output 4 {images=[x]}",
        "finish 4",
        "start 2",
        "run 2 (image=x)",
        "end failed 2 it broke",
    ]
    assert runner.finish is not None
    error = runner.finish.error
    assert error is not None
    assert runner.finish.outcome is JobState.FAILED
    assert (error.node_type, error.exception_type, error.traceback) == ("Fail", "ValueError", ("trace",))
    assert error.executed == runner.finish.executed == ("1", "4")
    assert error.current_outputs == ("1", "2", "3", "4")


def test_a_missing_output_fails_the_call_that_uses_it() -> None:
    short = TestNode(node("Short", {}, "IMAGE IMAGE"), lambda: ("only one",))
    prompt = graph(n1=("Short", {}), n2=("Save", {"images": ["1", 1]}))
    assert (
        FakeRunner(NODES | {"Short": short}).play(prompt, "2")[-1]
        == "end failed 2 Node 1 (Short) returned no output 1."
    )


def test_a_list_output_that_is_not_a_list_fails_its_call() -> None:
    odd = TestNode(node("Odd", {}, "IMAGE[]"), lambda: (5,))
    prompt = graph(n1=("Odd", {}), n2=("Save", {"images": ["1", 0]}))
    last = FakeRunner(NODES | {"Odd": odd}).play(prompt, "2")[-1]
    assert last == "end failed 1 output 0 (IMAGE) is declared as a list, not int"


def test_a_node_that_the_worker_lacks_ends_the_job_before_anything_runs() -> None:
    lines = FakeRunner(NODES).play(graph(n1=("Gone", {}), n2=("Save", {"images": ["1", 0]})), "2")
    assert lines == ["end failed 1 This worker has no node 'Gone'."]


def test_undeclared_links_are_passed_on_and_undeclared_literals_are_not() -> None:
    loose = TestNode(node("Loose", {"a": "IMAGE"}, output=True), lambda **arguments: ())
    prompt = graph(
        n1=("Load", {"name": "x"}),
        n2=("Loose", {"a": ["1", 0], "more": ["1", 0], "literal": 5, "nowhere": ["9", 0]}),
    )
    assert "run 2 (a=x more=x)" in FakeRunner(NODES | {"Loose": loose}).play(prompt, "2")


def test_a_raw_link_arrives_as_a_link_after_its_source_has_run() -> None:
    raw = TestNode(node("Raw", {"flow": ("FLOW", {"rawLink": True})}, output=True), lambda flow: ())
    lines = FakeRunner(NODES | {"Raw": raw}).play(
        graph(n1=("Load", {"name": "x"}), n2=("Raw", {"flow": ["1", 0]})), "2"
    )
    assert lines[2] == "run 1 (name=x)"
    assert "run 2 (flow=[1,0])" in lines


def test_dynamic_inputs_are_nested_and_wrapped_literals_unwrapped() -> None:
    options = [{"key": "wide", "inputs": {"required": {"width": ["INT", {}]}}}]
    template = {"input": {"required": {"image": ["IMAGE", {}]}}, "prefix": "image", "min": 1, "max": 3}
    declared = {
        "size": ("COMFY_DYNAMICCOMBO_V3", {"options": options}),
        "images": ("COMFY_AUTOGROW_V3", {"template": template}),
        "points": "POINTS",
    }
    dynamic = TestNode(node("Dynamic", declared, output=True), lambda **arguments: ())
    inputs = {
        "size": "wide",
        "size.width": 11,
        "images.image0": ["1", 0],
        "images.image1": ["1", 0],
        "points": {"__value__": [1, 2]},
    }
    lines = FakeRunner(NODES | {"Dynamic": dynamic}).play(
        graph(n1=("Load", {"name": "x"}), n2=("Dynamic", inputs)),
        "2",
    )
    assert "run 2 (images={image0=x image1=x} points=[1,2] size={size=wide width=11})" in lines


@pytest.mark.parametrize(
    "event",
    [
        do.CallReturned("9", []),
        do.LazyChecked("1"),
        do.CallReturned("1", []),
        do.FingerprintComputed("1", 0),
        do.Start(),
    ],
)
def test_an_unexpected_event_is_rejected(event: do.Event) -> None:
    catalogue = {name: n.schema for name, n in NODES.items()}
    execution = Execution(CHAIN, catalogue, targets=["4"], cache=NoCache(), owner="ann")  # type: ignore[arg-type]
    execution.feed(do.Start())
    with pytest.raises(ProtocolError):
        execution.feed(event)
