"""Expansion: calls that are replaced by a graph, in lists, in loops, with errors, outputs and caches."""

from typing import Any

import pytest
from tests.graph.catalogue import node
from tests.graph.fake_runner import FakeRunner, TestNode
from tests.graph.nodes import LAZY, NODES

from safelight.core.event import NodeCall
from safelight.graph import instructions as do
from safelight.graph.cache import LimitedCache, NoCache
from safelight.graph.expand import rebased
from safelight.graph.instructions import Blocked, Returned


def inner(call: str, **nodes: Any) -> dict[str, Any]:
    """A graph with the ids that a builder would make: ``inner("3.0.0", n1=...)`` has the call ``3.0.0.1``."""
    return {f"{call}.{key[1:]}": {"class_type": name, "inputs": inputs} for key, (name, inputs) in nodes.items()}


def graph(**nodes: Any) -> dict[str, Any]:
    return {key[1:]: {"class_type": name, "inputs": inputs} for key, (name, inputs) in nodes.items()}


def expanding(function: Any, inputs: dict[str, Any] | None = None, outputs: str = "IMAGE") -> dict[str, TestNode]:
    return NODES | {"Grow": TestNode(node("Grow", inputs or {"image": "IMAGE"}, outputs), function)}


def twice(call: str, image: str) -> Returned:
    """Two inversions of a live value, joined."""
    built = inner(
        call,
        n1=("Invert", {"image": image}),
        n2=("Invert", {"image": [f"{call}.1", 0]}),
        n3=("Join", {"a": [f"{call}.1", 0], "b": [f"{call}.2", 0]}),
    )
    return Returned(([f"{call}.3", 0],), expand=built)


PROMPT = graph(n1=("Load", {"name": "x"}), n3=("Grow", {"image": ["1", 0]}), n4=("Save", {"images": ["3", 0]}))


def test_the_expanded_call_is_finished_when_what_replaces_it_is() -> None:
    assert FakeRunner(expanding(twice)).play(PROMPT, "4")[4:] == [
        "start 3",
        "run 3 (image=x)",
        "start 3.0.0.1",
        "run 3.0.0.1 (image=x)",
        "finish 3.0.0.1",
        "start 3.0.0.2",
        "run 3.0.0.2 (image=-x)",
        "finish 3.0.0.2",
        "start 3.0.0.3",
        "run 3.0.0.3 (a=-x b=--x)",
        "finish 3.0.0.3",
        "finish 3",
        "start 4",
        "run 4 (images=-x--x)",
        "output 4 {images=[-x--x]}",
        "finish 4",
        "end completed",
    ]


def test_calls_inside_are_shown_on_their_parent() -> None:
    seen: list[NodeCall] = []
    runner = FakeRunner(expanding(twice))
    runner.before = lambda said: seen.append(said.call) if isinstance(said, do.RunCall) else None
    runner.play(PROMPT, "4")
    assert seen[2] == NodeCall("3.0.0.1", display_id="3", parent_id="3", real_id="3")


def test_a_node_inside_may_be_shown_elsewhere() -> None:
    def elsewhere(call: str, image: str) -> Returned:
        return Returned(
            ([f"{call}.1", 0],),
            expand={f"{call}.1": {"class_type": "Invert", "inputs": {"image": image}, "override_display_id": "1"}},
        )

    seen: list[NodeCall] = []
    runner = FakeRunner(expanding(elsewhere))
    runner.before = lambda said: seen.append(said.call) if isinstance(said, do.RunCall) else None
    runner.play(PROMPT, "4")
    assert seen[2] == NodeCall("3.0.0.1", display_id="1", parent_id="3", real_id="3")


def test_only_what_the_results_depend_on_runs() -> None:
    def half(call: str, image: str) -> Returned:
        built = inner(call, n1=("Invert", {"image": image}), n2=("Invert", {"image": image}))
        return Returned(([f"{call}.1", 0],), expand=built)

    runner = FakeRunner(expanding(half))
    runner.play(PROMPT, "4")
    assert runner.ran == ["1", "3", "3.0.0.1", "4"]


def test_results_may_be_plain_beside_links_and_may_link_outside() -> None:
    def mixed(call: str, image: str) -> Returned:
        built = inner(call, n1=("Invert", {"image": ["1", 0]}))
        return Returned(([f"{call}.1", 0], "plain", ["1", 0], ["no-call", 0]), expand=built)

    prompt = PROMPT | graph(n4=("Save", {"images": ["3", 0]}))
    prompt |= {str(5 + i): {"class_type": "Sink", "inputs": {"value": ["3", i]}} for i in range(4)}
    runner = FakeRunner(expanding(mixed, outputs="IMAGE STRING IMAGE *"))
    lines = runner.play(prompt, "4", "5", "6", "7", "8")
    assert [line for line in lines if line.startswith("run") and "value" in line] == [
        "run 5 (value=-x)",
        "run 6 (value=plain)",
        "run 7 (value=x)",
        "run 8 (value=[no-call,0])",
    ]


def test_in_a_list_some_invocations_expand_and_others_do_not() -> None:
    def some(call: str, image: str) -> Any:
        if image == "i0":
            return ("plain",)
        if image == "i1":
            return Blocked()
        return Returned(([f"{call}.1", 0],), expand=inner(call, n1=("Invert", {"image": image})))

    prompt = PROMPT | graph(n1=("Many", {"count": 4}))
    lines = FakeRunner(expanding(some)).play(prompt, "4")
    assert "run 3.2.0.1 (image=i2)" in lines
    assert "run 3.3.0.1 (image=i3)" in lines
    assert "run 4 (images=plain) (images=-i2) (images=-i3)" in lines


def test_a_list_inside_comes_out_as_a_list() -> None:
    def many(call: str, image: str) -> Returned:
        return Returned(([f"{call}.1", 0], "one"), expand=inner(call, n1=("Many", {"count": 2})))

    prompt = PROMPT | graph(n5=("Sink", {"value": ["3", 1]}))
    lines = FakeRunner(expanding(many, outputs="IMAGE STRING")).play(prompt, "4", "5")
    assert "run 4 (images=i0) (images=i1)" in lines
    assert "run 5 (value=one)" in lines


def loop(call: str, image: str, times: int) -> Returned:
    """A while loop: one inversion, then the rest of the loop, until nothing is left."""
    if times == 0:
        return Returned((image,))
    built = inner(
        call,
        n1=("Invert", {"image": image}),
        n2=("Grow", {"image": [f"{call}.1", 0], "times": times - 1}),
    )
    return Returned(([f"{call}.2", 0],), expand=built)


LOOP_INPUTS = {"image": "IMAGE", "times": "INT"}


def looping(times: int) -> dict[str, Any]:
    return PROMPT | graph(n3=("Grow", {"image": ["1", 0], "times": times}))


def test_a_loop_by_expansion() -> None:
    lines = FakeRunner(expanding(loop, LOOP_INPUTS)).play(looping(3), "4")
    assert "output 4 {images=[---x]}" in lines
    finished = [line for line in lines if line.startswith("finish 3")]
    assert finished[-3:] == ["finish 3.0.0.2.0.0.2", "finish 3.0.0.2", "finish 3"]


def test_a_loop_is_not_bounded_by_the_stack() -> None:
    runner = FakeRunner(expanding(loop, LOOP_INPUTS), cache=LimitedCache())
    lines = runner.play(looping(1_200), "4")
    assert lines[-1] == "end completed"
    assert len(runner.ran) == 2 * 1_200 + 3


def test_an_error_inside_names_the_node_that_the_user_sees() -> None:
    def broken(call: str, image: str) -> Returned:
        return Returned(([f"{call}.1", 0],), expand=inner(call, n1=("Fail", {"image": image})))

    runner = FakeRunner(expanding(broken))
    assert runner.play(PROMPT, "4")[-1] == "end failed 3 it broke"
    assert runner.finish is not None
    assert runner.finish.error is not None
    assert runner.finish.error.node_type == "Grow"
    assert runner.finish.executed == ("1",)


def test_a_cycle_that_an_expansion_makes_ends_the_job_as_failed() -> None:
    def circle(call: str, image: str) -> Returned:
        built = inner(
            call,
            n1=("Load", {"name": "mask"}),
            n2=("Mix", {"a": image, "b": [f"{call}.3", 0], "mask": 1.0}),
            n3=("Mix", {"a": [f"{call}.2", 0], "b": [f"{call}.1", 0], "mask": 0.5}),
        )
        return Returned(([f"{call}.3", 0],), expand=built)

    runner = FakeRunner(expanding(circle))
    lines = runner.play(PROMPT, "4")
    assert [line for line in lines if line.startswith("start 3.")] == [
        "start 3.0.0.3",
        "start 3.0.0.2",
        "start 3.0.0.1",
    ]
    assert lines[-1] == "end failed 3 Dependency cycle detected: 3.0.0.2 -> 3.0.0.3 -> 3.0.0.2"
    assert runner.finish is not None
    assert runner.finish.error is not None
    assert runner.finish.error.exception_type == "graph.DependencyCycleError"


@pytest.mark.parametrize(
    ("built", "words"),
    [
        ({"1": {"class_type": "Load", "inputs": {}}}, "has a node '1', which exists already"),
        ({"a": {"class_type": "Nope", "inputs": {}}}, "node 'a' is of class 'Nope', which does not exist"),
        ({"a": []}, "node 'a' is of class None, which does not exist"),
        ({"a": {"class_type": "Invert", "inputs": {"image": ["b", 0]}}}, "is linked to 'b', which does not exist"),
    ],
)
def test_an_expansion_that_is_not_a_graph_fails_its_call(built: dict[str, Any], words: str) -> None:
    lines = FakeRunner(expanding(lambda image: Returned((), expand=built))).play(PROMPT, "4")
    assert lines[-1].startswith("end failed 3 ")
    assert words in lines[-1]


def showing(call: str, image: str) -> Returned:
    built = inner(call, n1=("Invert", {"image": image}), n2=("Save", {"images": [f"{call}.1", 0]}))
    return Returned(([f"{call}.1", 0],), expand=built)


def test_an_output_inside_runs_and_is_shown_again_when_all_is_cached() -> None:
    runner = FakeRunner(expanding(showing), cache=LimitedCache())
    lines = runner.play(PROMPT, "4")
    assert lines.index("output 3.0.0.2 {images=[-x]}") < lines.index("finish 3")
    assert runner.play(PROMPT, "4") == [
        "cached 1 3 4",
        "output 3.0.0.2 {images=[-x]} cached",
        "output 4 {images=[-x]} cached",
        "finish 4",
        "end completed",
    ]


def test_a_cached_output_inside_is_shown_under_the_current_ids() -> None:
    runner = FakeRunner(expanding(showing), cache=LimitedCache())
    runner.play(PROMPT, "4")
    renamed = graph(n7=("Load", {"name": "x"}), n8=("Grow", {"image": ["7", 0]}), n9=("Save", {"images": ["8", 0]}))
    assert "output 8.0.0.2 {images=[-x]} cached" in runner.play(renamed, "9")


def test_rebasing_keeps_ids_outside_the_expansion() -> None:
    origin = NodeCall("3", "3", None, "3")
    now = NodeCall("8.0.0.1", "8", "8", "8")
    assert rebased(NodeCall("3.0.0.2", "3", "3", "3"), origin, now) == NodeCall("8.0.0.1.0.0.2", "8", "8.0.0.1", "8")
    assert rebased(NodeCall("own", "5", "3", "3"), origin, now) == NodeCall("own", "5", "8.0.0.1", "8")


def test_a_changed_parent_reuses_the_calls_inside_that_did_not_change() -> None:
    def constant(call: str, image: str, note: str) -> Returned:
        return Returned(([f"{call}.1", 0],), expand=inner(call, n1=("Invert", {"image": ["1", 0]})))

    nodes = expanding(constant, {"image": "IMAGE", "note": "STRING"})
    runner = FakeRunner(nodes, cache=LimitedCache())
    runner.play(PROMPT | graph(n3=("Grow", {"image": ["1", 0], "note": "a"})), "4")
    assert runner.ran == ["1", "3", "3.0.0.1", "4"]
    runner.play(PROMPT | graph(n3=("Grow", {"image": ["1", 0], "note": "b"})), "4")
    assert runner.ran == ["3", "4"]


def test_live_values_inside_are_signed_by_their_position() -> None:
    def live(call: str, image: str) -> Returned:
        return Returned(([f"{call}.1", 0],), expand=inner(call, n1=("Invert", {"image": object()})))

    cache = LimitedCache()
    runner = FakeRunner(expanding(live), cache=cache)
    runner.play(PROMPT, "4")
    assert len(cache) == 4
    runner.play(PROMPT, "4")
    assert runner.ran == []


def test_calls_inside_overlap() -> None:
    def both(call: str, image: str) -> Returned:
        built = inner(
            call,
            n1=("Sleep", {"image": image}),
            n2=("Sleep", {"image": f"{image}2"}),
            n3=("Join", {"a": [f"{call}.1", 0], "b": [f"{call}.2", 0]}),
        )
        return Returned(([f"{call}.3", 0],), expand=built)

    lines = FakeRunner(expanding(both)).play(PROMPT, "4")
    first = lines.index("start 3.0.0.2")
    assert lines[first : first + 4] == [
        "start 3.0.0.2",
        "run 3.0.0.2 (image=x2)",
        "start 3.0.0.1",
        "run 3.0.0.1 (image=x)",
    ]


def test_a_lazy_input_of_an_expanding_call() -> None:
    nodes = expanding(twice, {"image": LAZY})
    nodes["Grow"].lazy = lambda image: ["image"] if image is None else []
    runner = FakeRunner(nodes)
    runner.play(PROMPT, "4")
    assert runner.ran == ["1", "3", "3.0.0.1", "3.0.0.2", "3.0.0.3", "4"]


def test_a_link_to_a_call_whose_outputs_were_released_runs_it_again() -> None:
    def far(call: str, image: str) -> Returned:
        return Returned(([f"{call}.1", 0],), expand=inner(call, n1=("Invert", {"image": ["1", 0]})))

    prompt = graph(
        n1=("Load", {"name": "x"}),
        n2=("Invert", {"image": ["1", 0]}),
        n3=("Grow", {"image": ["2", 0]}),
        n4=("Save", {"images": ["3", 0]}),
    )
    runner = FakeRunner(expanding(far), cache=NoCache())
    assert "output 4 {images=[-x]}" in runner.play(prompt, "4")
    assert runner.ran == ["1", "2", "3", "1", "3.0.0.1", "4"]
    runner = FakeRunner(expanding(far), cache=LimitedCache())
    runner.play(prompt, "4")
    assert runner.ran == ["1", "2", "3", "4"]  # equal to call 2, so taken from the cache


def test_a_link_to_an_otherwise_unreachable_call_runs_it() -> None:
    def far(call: str, image: str) -> Returned:
        return Returned((["7", 0],), expand={})

    prompt = PROMPT | graph(n6=("Load", {"name": "far"}), n7=("Invert", {"image": ["6", 0]}))
    runner = FakeRunner(expanding(far), cache=LimitedCache())
    assert "output 4 {images=[-far]}" in runner.play(prompt, "4")
    assert runner.ran == ["1", "3", "6", "7", "4"]


def test_fingerprints_inside_are_requested_before_anything_inside_runs() -> None:
    def marked(call: str, image: str) -> Returned:
        return Returned(([f"{call}.1", 0],), expand=inner(call, n1=("Marked", {"image": image})))

    nodes = expanding(marked) | {
        "Marked": TestNode(
            node("Marked", {"image": "IMAGE"}, "IMAGE", has_fingerprint=True),
            lambda image: (f"m{image}",),
            fingerprint=lambda image: 1,
        )
    }
    lines = FakeRunner(nodes).play(PROMPT, "4")
    assert lines[6:9] == ["fingerprint 3.0.0.1 (image=x)", "start 3.0.0.1", "run 3.0.0.1 (image=x)"]
