"""Execution blockers: silent ones, ones with a message, ones in the middle of a list."""

from tests.graph.catalogue import node
from tests.graph.fake_runner import FakeRunner, TestNode, graph
from tests.graph.nodes import NODES

from safelight.graph.cache import LimitedCache
from safelight.graph.instructions import Blocked


def blocking(message: str) -> dict[str, object]:
    return graph(
        n1=("Load", {"name": "x"}),
        n2=("Block", {"image": ["1", 0], "message": message}),
        n3=("Invert", {"image": ["2", 0]}),
        n4=("Save", {"images": ["3", 0]}),
    )


def after(lines: list[str], first: str) -> list[str]:
    return lines[lines.index(first) :]


def test_a_silent_blocker_stops_what_follows_and_the_job_completes() -> None:
    assert after(FakeRunner(NODES).play(blocking(""), "4"), "finish 2") == [
        "finish 2",
        "start 3",
        "finish 3",
        "start 4",
        "finish 4",
        "end completed",
    ]


def test_a_message_is_reported_once_at_the_first_call_that_is_stopped() -> None:
    assert after(FakeRunner(NODES).play(blocking("too dark"), "4"), "finish 2") == [
        "finish 2",
        "start 3",
        "blocked 3 too dark",
        "finish 3",
        "start 4",
        "finish 4",
        "end completed",
    ]


def test_a_rerun_reports_the_message_again() -> None:
    runner = FakeRunner(NODES, cache=LimitedCache())
    runner.play(blocking("too dark"), "4")
    lines = runner.play(blocking("too dark"), "4")
    assert lines[0] == "cached 1 2"
    assert "blocked 3 too dark" in lines
    assert runner.ran == []


def some(blocked: object) -> dict[str, TestNode]:
    """A list whose middle element is blocked."""
    return NODES | {"Some": TestNode(node("Some", {}, "IMAGE[]"), lambda: (["a", blocked, "c"],))}


def test_inside_a_list_only_the_blocked_element_is_left_out() -> None:
    prompt = graph(n1=("Some", {}), n2=("Invert", {"image": ["1", 0]}), n3=("Save", {"images": ["2", 0]}))
    lines = FakeRunner(some(Blocked("no b"))).play(prompt, "3")
    assert "run 2 (image=a) (image=c)" in lines
    assert lines.count("blocked 2 no b") == 1
    assert "run 3 (images=-a) (images=-c)" in lines
    assert "output 3 {images=[-a,-c]}" in lines


def test_a_blocked_element_blocks_a_node_that_takes_the_whole_list() -> None:
    prompt = graph(n1=("Some", {}), n2=("Count", {"images": ["1", 0]}), n3=("Sink", {"value": ["2", 0]}))
    runner = FakeRunner(some(Blocked("no b")))
    lines = runner.play(prompt, "3")
    assert runner.ran == ["1"]
    assert "blocked 2 no b" in lines


def test_the_position_in_the_list_stays_that_of_the_element() -> None:
    seen: list[str] = []

    def note(call: str, image: str) -> tuple[str]:
        seen.append(call)
        return (image,)

    nodes = some(Blocked()) | {"Note": TestNode(node("Note", {"image": "IMAGE"}, "IMAGE"), note)}
    FakeRunner(nodes).play(
        graph(n1=("Some", {}), n2=("Note", {"image": ["1", 0]}), n3=("Sink", {"value": ["2", 0]})), "3"
    )
    assert seen == ["2.0.0", "2.2.0"]


def test_a_whole_invocation_can_be_blocked() -> None:
    gate = TestNode(node("Gate", {"image": "IMAGE"}, "IMAGE IMAGE"), lambda image: Blocked("shut"))
    prompt = graph(n1=("Load", {"name": "x"}), n2=("Gate", {"image": ["1", 0]}), n3=("Save", {"images": ["2", 1]}))
    lines = FakeRunner(NODES | {"Gate": gate}).play(prompt, "3")
    assert lines[-3:] == ["blocked 3 shut", "finish 3", "end completed"]


def test_a_lazy_call_with_a_blocked_input_gets_no_lazy_check() -> None:
    prompt = graph(
        n1=("Load", {"name": "x"}),
        n2=("Block", {"image": ["1", 0], "message": "no mask"}),
        n3=("Mix", {"a": ["1", 0], "b": ["5", 0], "mask": ["2", 0]}),
        n4=("Save", {"images": ["3", 0]}),
        n5=("Load", {"name": "never"}),
    )
    runner = FakeRunner(NODES)
    lines = runner.play(prompt, "4")
    assert after(lines, "start 3") == [
        "start 3",
        "blocked 3 no mask",
        "finish 3",
        "start 4",
        "finish 4",
        "end completed",
    ]
    assert "5" not in runner.ran
