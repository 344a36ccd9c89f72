"""Jobs from their first message to their last: order, lists, laziness, expansions, async nodes, failures, cancel."""

import time
from typing import Any

import pytest
from tests.dispatch.engines import deed, node
from tests.runtime.harness import Harness

from safelight.core.event import (
    CallBlocked,
    CallProgressed,
    CallsCached,
    CallStarted,
    PreviewMade,
    TextShown,
)
from safelight.core.job import JobState
from safelight.runtime.running_job import RunningJob
from safelight.sdk import Hidden, Node, NodeOutput, Schema, current, io
from safelight.wire.messages import OutputReady, ToServer

SUM = {
    "1": node("Number", value=2),
    "2": node("Add", a=["1", 0], b=3),
    "3": node("Show", value=["2", 0]),
}


def shown(harness: Harness) -> dict[str, Any]:
    return {m.made.call.id: m.made.output for m in harness.of_kind(OutputReady)}


def test_calls_are_reported_in_the_order_that_clients_expect(harness: Harness) -> None:
    done = harness.run(SUM, "3")
    assert (done.outcome, done.error, done.executed) == (JobState.COMPLETED, None, ["1", "2", "3"])
    assert isinstance(harness.messages[0], CallsCached)
    assert harness.story() == [
        *("CallStarted 1", "CallFinished 1", "CallStarted 2", "CallFinished 2"),
        *("CallStarted 3", "OutputReady 3", "CallFinished 3"),
    ]
    assert shown(harness) == {"3": {"text": ["5", "3"]}}


def test_a_rerun_comes_from_the_cache_and_shows_its_output_again(harness: Harness) -> None:
    harness.run(SUM, "3")
    done = harness.run(SUM, "3")
    assert (done.outcome, done.executed) == (JobState.COMPLETED, [])
    assert harness.of_kind(CallsCached)[0].call_ids == ["1", "2", "3"]
    assert harness.story() == ["OutputReady 3", "CallFinished 3"]
    assert [(m.made.output, m.made.cached) for m in harness.of_kind(OutputReady)] == [({"text": ["5", "3"]}, True)]


def test_another_owner_shares_values_but_not_outputs(harness: Harness) -> None:
    harness.run(SUM, "3")
    assert harness.run(SUM, "3", owner="bob").executed == ["3"]


def test_a_changed_input_reruns_its_dependents(harness: Harness) -> None:
    harness.run(SUM, "3")
    assert harness.run(SUM | {"2": node("Add", a=["1", 0], b=4)}, "3").executed == ["2", "3"]


def test_a_node_that_is_never_the_same_runs_again(harness: Harness) -> None:
    prompt = {"1": node("Clock", value=1), "2": node("Show", value=["1", 0])}
    harness.run(prompt, "2")
    assert harness.run(prompt, "2").executed == ["1", "2"]


def test_lists_map_nodes_and_are_gathered_by_those_that_take_them(harness: Harness) -> None:
    prompt = {
        "1": node("Range", value=4),
        "2": node("Add", a=["1", 0], b=10),
        "3": node("Total", value=["2", 0]),
        "4": node("Show", value=["3", 0]),
        "5": node("Show", value=["2", 0]),
    }
    harness.run(prompt, "4", "5")
    assert shown(harness)["4"] == {"text": ["46", "4"]}
    assert shown(harness)["5"] == {"text": ["10", "5", "11", "5", "12", "5", "13", "5"]}


@pytest.mark.parametrize(("first", "run"), [(True, "1"), (False, "2")])
def test_lazy_inputs_are_computed_on_request(harness: Harness, first: bool, run: str) -> None:
    prompt = {
        "1": node("Number", value=10),
        "2": node("Number", value=20),
        "3": node("Pick", first=first, a=["1", 0], b=["2", 0]),
        "4": node("Show", value=["3", 0]),
    }
    done = harness.run(prompt, "4")
    assert done.executed == [run, "3", "4"]
    assert [m.call.id for m in harness.of_kind(CallStarted)] == ["3", run, "3", "4"]


def test_an_expansion_runs_in_place_of_its_call_and_is_shown_on_it(harness: Harness) -> None:
    prompt = {"3": node("Expand", value=41), "4": node("Show", value=["3", 0])}
    done = harness.run(prompt, "4")
    assert shown(harness) == {"4": {"text": ["42", "4"]}}
    assert done.executed == ["3.0.0.1", "3.0.0.2", "3", "4"]
    inner = next(m.call for m in harness.of_kind(CallStarted) if m.call.id == "3.0.0.2")
    assert (inner.display_id, inner.parent_id, inner.real_id) == ("3", "3", "3")


def test_a_blocker_is_reported_where_it_would_be_used(harness: Harness) -> None:
    done = harness.run({"1": node("Block", value=1), "2": node("Show", value=["1", 0])}, "2")
    assert done.outcome is JobState.COMPLETED
    [blocked] = harness.of_kind(CallBlocked)
    assert (blocked.call.id, blocked.node_type, blocked.message) == ("2", "Show", "not today")
    assert shown(harness) == {}


def test_an_object_of_a_v1_node_keeps_what_it_put_on_itself(
    harness: Harness, capsys: pytest.CaptureFixture[str]
) -> None:
    for value in (1, 2):
        harness.run(
            {"1": node("Number", value=value), "2": node("Total", value=["1", 0]), "3": node("Show", value=["2", 0])},
            "3",
        )
    harness.run({"9": node("Total", value=5), "3": node("Show", value=["9", 0])}, "3")
    assert capsys.readouterr().out.split("\n")[:3] == [f"call {n} of this object" for n in (1, 2, 1)]


# -- async nodes --


def test_async_calls_overlap(harness: Harness) -> None:
    prompt = {str(i): node("Async", value=i, seconds=0.3) for i in range(3)}
    prompt |= {"9": node("Show", value=["0", 0]), "8": node("Show", value=["1", 0]), "7": node("Show", value=["2", 0])}
    started = time.monotonic()
    done = harness.run(prompt, "9", "8", "7")
    assert done.outcome is JobState.COMPLETED
    assert time.monotonic() - started < 0.8
    assert shown(harness)["7"] == {"text": ["2", "7"]}


def test_the_sets_of_one_async_call_overlap(harness: Harness) -> None:
    prompt = {
        "1": node("Range", value=4),
        "2": node("Async", value=["1", 0], seconds=0.3),
        "3": node("Total", value=["2", 0]),
        "4": node("Show", value=["3", 0]),
    }
    started = time.monotonic()
    harness.run(prompt, "4")
    assert time.monotonic() - started < 1.0
    assert shown(harness) == {"4": {"text": ["6", "4"]}}


def test_a_failure_ends_other_async_calls(harness: Harness) -> None:
    prompt = {
        "1": node("Async", value=1, seconds=60.0),
        "2": node("AsyncFail", value=1, seconds=0.05),
        "3": node("Add", a=["1", 0], b=["2", 0]),
        "4": node("Show", value=["3", 0]),
    }
    started = time.monotonic()
    done = harness.run(prompt, "4")
    assert time.monotonic() - started < 10
    assert done.outcome is JobState.FAILED
    assert done.error is not None
    assert (done.error.node_id, done.error.node_type) == ("2", "AsyncFail")
    assert done.error.exception_message == "meant to fail\n"


def test_an_exit_in_an_async_call_does_not_end_later_ones(harness: Harness) -> None:
    done = harness.run({"1": node("AsyncExit", value=1, seconds=0.0), "2": node("Show", value=["1", 0])}, "2")
    assert done.error is not None
    assert done.error.exception_message == "the node called sys.exit(4)\n"
    done = harness.run({"1": node("Async", value=1, seconds=0.0), "2": node("Show", value=["1", 0])}, "2")
    assert done.outcome is JobState.COMPLETED


# -- failures --


def test_a_failure_is_reported_in_the_contracts_form(harness: Harness) -> None:
    done = harness.run(deed("raise_error"), "1")
    error = done.error
    assert error is not None
    assert (error.exception_type, error.exception_message) == ("KeyError", "'missing'\n")
    assert (error.node_id, error.node_type) == ("1", "Deed")
    assert error.current_inputs == {"what": ["raise_error"]}
    assert list(error.current_outputs) == ["1"]
    assert error.traceback[-1].startswith('  File "trial/__init__.py", line ')
    assert error.traceback[-1].endswith('in raise_error\n    raise KeyError("missing")\n')
    assert not any("runtime" in frame or "/work" in frame for frame in error.traceback)


def test_an_exit_of_a_node_is_its_failure(harness: Harness) -> None:
    done = harness.run(deed("sys_exit"), "1")
    assert done.outcome is JobState.FAILED
    assert done.error is not None
    assert done.error.exception_type == "SystemExit"


def test_a_failure_in_an_expansion_names_the_node_that_the_user_sees(harness: Harness) -> None:
    class Broken(Node):
        @classmethod
        def define_schema(cls) -> Schema:
            return Schema(node_id="Broken", outputs=[io.Int.Output()])

        @classmethod
        def execute(cls) -> NodeOutput:
            from safelight.sdk.expand import GraphBuilder

            graph = GraphBuilder()
            return NodeOutput(graph.node("Deed", what="raise_error").out(0), expand=graph.finalize())

    harness.add(Broken)
    done = harness.run({"5": node("Broken"), "6": node("Show", value=["5", 0])}, "6")
    assert done.error is not None
    assert (done.error.node_id, done.error.node_type) == ("5", "Broken")


def test_a_constructor_that_raises_is_a_failure_of_its_call(harness: Harness) -> None:
    class Fussy:
        INPUT_TYPES = classmethod(lambda cls: {})
        RETURN_TYPES = ()
        OUTPUT_NODE = True
        FUNCTION = "run"

        def __init__(self) -> None:
            raise OSError("no such device")

        def run(self) -> None: ...

    from safelight.sdk.v1 import adapt

    harness.add(adapt(Fussy, node_id="Fussy"))
    done = harness.run({"1": node("Fussy")}, "1")
    assert done.error is not None
    assert (done.error.node_id, done.error.exception_message) == ("1", "no such device\n")


DEVICE_ERRORS = {
    "memory": ("torch", "OutOfMemoryError", "tried to allocate 1 TiB"),
    "a lost device": ("torch", "AcceleratorError", "CUDA error: an illegal memory access was encountered"),
    "a lost device of an older torch": ("builtins", "RuntimeError", "CUDA error: device-side assert triggered"),
}


@pytest.mark.parametrize("kind", DEVICE_ERRORS)
def test_a_device_error_is_retried_once_in_a_new_process(harness: Harness, kind: str) -> None:
    module, name, message = DEVICE_ERRORS[kind]
    error = type(name, (RuntimeError,), {"__module__": module})

    class Greedy(Node):
        @classmethod
        def define_schema(cls) -> Schema:
            return Schema(node_id="Greedy", is_output_node=True)

        @classmethod
        def execute(cls) -> NodeOutput:
            raise error(message)

    harness.add(Greedy)
    first = harness.run({"1": node("Greedy")}, "1", attempt=3, has_retry=True)  # the server gave two of them up
    assert first.error is not None
    assert first.error.exception_type.endswith("ProcessEndedError")
    second = harness.run({"1": node("Greedy")}, "1", attempt=4, has_retry=False)
    assert second.error is not None
    assert (second.error.exception_type.rpartition(".")[2], second.error.exception_message) == (name, message + "\n")


# -- cancel --


def test_a_node_that_reports_progress_ends_at_its_next_report(harness: Harness) -> None:
    def cancel(message: ToServer, job: RunningJob) -> None:
        if isinstance(message, CallProgressed):
            job.cancel()

    done = harness.run(deed("steps"), "1", on_message=cancel)
    assert done.outcome is JobState.CANCELLED
    assert [m.value for m in harness.of_kind(CallProgressed)] == [1]
    assert done.error is not None
    assert done.error.node_id == "1"


def test_nothing_starts_after_a_cancel(harness: Harness) -> None:
    def cancel(message: ToServer, job: RunningJob) -> None:
        if isinstance(message, CallStarted) and message.call.id == "1":
            job.cancel()

    done = harness.run(SUM, "3", on_message=cancel)
    assert done.outcome is JobState.CANCELLED
    assert [m.call.id for m in harness.of_kind(CallStarted)] == ["1"]


def test_a_node_that_waits_for_names_is_cancelled(harness: Harness) -> None:
    from safelight.wire.messages import ReserveNames

    class Waits(Node):
        @classmethod
        def define_schema(cls) -> Schema:
            return Schema(node_id="Waits", is_output_node=True)

        @classmethod
        def execute(cls) -> NodeOutput:
            current().open_series("a")
            raise AssertionError("cancelled before")

    def cancel(message: ToServer, job: RunningJob) -> None:
        if isinstance(message, CallStarted):
            job.cancel()

    harness.add(Waits)
    assert harness.run({"1": node("Waits")}, "1", on_message=cancel).outcome is JobState.CANCELLED
    assert harness.of_kind(ReserveNames) == []


# -- what a node can request --


class Curious(Node):
    """Shows its hidden values."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="Curious",
            is_output_node=True,
            hidden=["UNIQUE_ID", "PROMPT", "EXTRA_PNGINFO", "DYNPROMPT", "API_KEY_COMFY_ORG"],
        )

    @classmethod
    def execute(cls) -> NodeOutput:
        hidden = cls.hidden
        return NodeOutput(
            ui={
                "id": [hidden.unique_id],
                "prompt": [list(hidden.prompt or ())],
                "info": [hidden.extra_pnginfo],
                "inner": [hidden.dynprompt.get_node("1")["class_type"]],
                "key": [hidden.api_key_comfy_org],
                "token": [hidden.auth_token_comfy_org],
            }
        )


def test_hidden_values_are_those_of_the_call(harness: Harness) -> None:
    harness.add(Curious)
    harness.run({"1": node("Curious")}, "1", extra_pnginfo={"workflow": {"a": 1}}, secrets={"api_key_comfy_org": "k"})
    assert shown(harness)["1"] == {
        "id": ["1"],
        "prompt": [["1"]],
        "info": [{"workflow": {"a": 1}}],
        "inner": ["Curious"],
        "key": ["k"],
        "token": [None],
    }
    assert Curious.hidden == Hidden(), "the class itself stays as it is"


def test_previews_and_texts_come_with_progress_if_requested(harness: Harness) -> None:
    from PIL import Image

    class Paints(Node):
        @classmethod
        def define_schema(cls) -> Schema:
            return Schema(node_id="Paints", is_output_node=True, not_idempotent=True)

        @classmethod
        def fingerprint_inputs(cls) -> float:
            return float("nan")

        @classmethod
        def execute(cls) -> NodeOutput:
            current().show_text("mixing")
            current().progress(1, 2, preview=Image.new("RGBA", (1024, 512), "red"))
            return NodeOutput()

    harness.add(Paints)
    harness.run({"1": node("Paints")}, "1")
    assert harness.of_kind(PreviewMade) == []
    harness.run({"1": node("Paints")}, "1", preview_method="latent2rgb")
    [preview] = harness.of_kind(PreviewMade)
    assert preview.mime_type == "image/jpeg"
    assert preview.image.startswith(b"\xff\xd8")
    assert harness.of_kind(TextShown)[0].text == "mixing"


# -- the nodes' own checks of their inputs --


class Checked(Node):
    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(node_id="Checked", inputs=[io.Int.Input("a"), io.Int.Input("b")], is_output_node=True)

    @classmethod
    def validate_inputs(cls, a: int) -> bool | str:
        return True if a % 2 == 0 else f"{a} is odd"

    @classmethod
    def execute(cls, a: int, b: int) -> NodeOutput:
        return NodeOutput(ui={"a": [a]})


def test_a_node_can_reject_its_inputs_before_anything_runs(harness: Harness) -> None:
    harness.add(Checked)
    prompt = {"1": node("Number", value=3), "2": node("Checked", a=3, b=["1", 0])}
    done = harness.run(prompt, "2")
    assert done.outcome is JobState.FAILED
    assert done.error is not None
    assert done.error.exception_message == "Custom validation failed for node: a - 3 is odd\n"
    assert (done.error.node_id, done.error.node_type) == ("2", "Checked")
    assert harness.story() == []


@pytest.mark.parametrize("a", [4, ["1", 0]], ids=["a good value", "a link, which it cannot check yet"])
def test_accepted_inputs_run(harness: Harness, a: Any) -> None:
    harness.add(Checked)
    done = harness.run({"1": node("Number", value=3), "2": node("Checked", a=a, b=1)}, "2")
    assert done.outcome is JobState.COMPLETED
