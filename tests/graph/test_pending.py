"""Calls that overlap, failures beside pending calls, and cancelling at any moment."""

import pytest
from tests.graph.fake_runner import FakeRunner, graph, written
from tests.graph.nodes import NODES

from safelight.core.ids import UserId
from safelight.core.job import JobState
from safelight.graph import instructions as do
from safelight.graph.cache import NoCache
from safelight.graph.execution import Execution
from safelight.graph.instructions import Returned

SLEEPERS = graph(
    n1=("Load", {"name": "x"}),
    n2=("Sleep", {"image": ["1", 0]}),
    n3=("Sleep", {"image": ["2", 0]}),
    n4=("Sleep", {"image": ["1", 0]}),
    n5=("Join", {"a": ["3", 0], "b": ["4", 0]}),
    n6=("Save", {"images": ["5", 0]}),
)


def test_pending_calls_overlap_and_what_waits_for_them_waits() -> None:
    assert FakeRunner(NODES).play(SLEEPERS, "6") == [
        "cached",
        "start 1",
        "run 1 (name=x)",
        "finish 1",
        "start 4",
        "run 4 (image=x)",
        "start 2",
        "run 2 (image=x)",
        "finish 4",
        "finish 2",
        "start 3",
        "run 3 (image=zx)",
        "finish 3",
        "start 5",
        "run 5 (a=zzx b=zx)",
        "finish 5",
        "start 6",
        "run 6 (images=zzxzx)",
        "output 6 {images=[zzxzx]}",
        "finish 6",
        "end completed",
    ]


def test_a_failure_aborts_other_pending_calls() -> None:
    prompt = graph(
        n1=("Load", {"name": "x"}),
        n2=("SleepFail", {"image": ["1", 0]}),
        n3=("Sleep", {"image": ["1", 0]}),
        n4=("Save", {"images": ["2", 0]}),
        n5=("Save", {"images": ["3", 0]}),
    )
    lines = FakeRunner(NODES).play(prompt, "4", "5")
    assert lines[-4:] == ["start 3", "run 3 (image=x)", "abort 3", "end failed 2 it broke"]


def test_a_result_after_the_end_was_decided_is_dropped() -> None:
    prompt = graph(
        n2=("Sleep", {"image": ["1", 0]}),
        n1=("Load", {"name": "x"}),
        n3=("Save", {"images": ["2", 0]}),
    )
    runner = FakeRunner(NODES)
    runner.before = lambda said: do.CancelRequested() if written(said) == "run 2 (image=x)" else None
    lines = runner.play(prompt, "3")
    assert lines[-3:] == ["run 2 (image=x)", "abort 2", "end cancelled 2 The job was cancelled."]


def fresh() -> Execution:
    catalogue = {name: n.schema for name, n in NODES.items()}
    return Execution(SLEEPERS, catalogue, targets=["6"], cache=NoCache(), owner=UserId("ann"))


EVENTS = [
    do.Start(),
    do.CallReturned("1", [Returned(("x",))]),
    do.CallPending("4"),
    do.CallPending("2"),
    do.CallReturned("2", [Returned(("zx",))]),
    do.CallReturned("4", [Returned(("zx",))]),
    do.CallPending("3"),
    do.CallReturned("3", [Returned(("zzx",))]),
    do.CallReturned("5", [Returned(("zzxzx",))]),
]
"""The number of events fed to the execution of the sleepers before its last call returns."""


@pytest.mark.parametrize("moment", range(len(EVENTS) + 1))
def test_nothing_starts_after_a_cancel(moment: int) -> None:
    execution = fresh()
    out: set[str] = set()
    for event in EVENTS[:moment]:
        out -= {event.call_id} if isinstance(event, do.CallReturned) else set()
        out |= {said.call.id for said in execution.feed(event) if isinstance(said, do.RunCall)}
    answer = execution.feed(do.CancelRequested())
    aborted = [said.call.id for said in answer if isinstance(said, do.AbortCall)]
    assert set(aborted) == out
    assert len(aborted) == len(answer) - (not out)
    for call_id in aborted:
        # Nothing starts even if a call succeeds now.
        answer = execution.feed(do.CallReturned(call_id, [Returned(("late",))]))
    [end] = answer
    assert isinstance(end, do.Finish)
    assert end.outcome is JobState.CANCELLED
    assert (end.error is None) == (not aborted)


def test_a_call_that_saw_the_cancel_itself_ends_the_job_as_cancelled() -> None:
    execution = fresh()
    execution.feed(do.Start())
    [end] = execution.feed(do.CallAborted("1"))
    assert written(end) == "end cancelled 1 The job was cancelled."
    assert execution.feed(do.CancelRequested()) == []


def test_a_cancel_before_the_start_ends_the_job_immediately() -> None:
    execution = fresh()
    assert [written(i) for i in execution.feed(do.CancelRequested())] == ["end cancelled"]
