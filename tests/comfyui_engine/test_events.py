"""ComfyUI's events of a job, as the messages of an engine."""

import json
import struct
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from safelight.comfyui_engine.agent import pictures
from safelight.comfyui_engine.agent.events import JobEvents
from safelight.comfyui_engine.agent.kept_results import KeptResults
from safelight.comfyui_engine.agent.outbox import Outbox
from safelight.comfyui_engine.agent.outputs import Collected
from safelight.comfyui_engine.agent.running_job import RunningJob
from safelight.wire.codec import Decoder
from safelight.wire.messages import CallReport, OutputReady, ToServer


class Stage:
    """One job, and what it sends. ``has_graph``: whether ComfyUI tells the parents of nodes."""

    def __init__(self, *, has_graph: bool = True) -> None:
        self.sent: list[Any] = []
        self.interrupts: list[bool] = []
        decoder: Decoder[Any] = Decoder(ToServer)
        outbox = Outbox(lambda frames: self.sent.extend(decoder.feed(frames)))
        prompt = {"1": {"class_type": "A", "inputs": {"name": "m.safetensors"}}, "2": {"class_type": "B", "inputs": {}}}
        message = {"job_id": "j", "attempt": 1, "owner_id": "anna", "prompt": prompt, "targets": ["2"], "staging": "/s"}
        self.job = RunningJob(message, outbox)
        graph = SimpleNamespace(
            get_parent_node_id=lambda node_id: "1" if "." in node_id else None,
            get_display_node_id=lambda node_id: node_id.split(".")[0],
            get_real_node_id=lambda node_id: node_id.split(".")[0],
            get_node=lambda node_id: {"class_type": "A"},
        )
        surfaces = SimpleNamespace(
            dynprompt=graph if has_graph else None,
            running_node=None,
            is_coroutine=lambda class_type: False,
            interrupt=self.interrupts.append,
        )
        outputs = SimpleNamespace(
            collect=lambda output, takes_unnamed: Collected(output),
            renamed=lambda output, names, unnamed: output,
            kept=lambda files: [],
            failure=None,
        )
        self.events = JobEvents(self.job, surfaces, outputs, KeptResults(), {})  # type: ignore[arg-type]

    def story(self) -> list[str]:
        calls = []
        for message in self.sent:
            if isinstance(message, OutputReady):
                calls.append(f"OutputMade {message.made.call.id}")
            elif isinstance(message, CallReport):
                call = message.fields.get("call")
                calls.append(message.kind if call is None else f"{message.kind} {call['id']}")
        return calls


def states(**nodes: str) -> dict[str, Any]:
    return {"nodes": {node_id: {"state": state, "value": 1, "max": 1} for node_id, state in nodes.items()}}


def test_a_call_ends_where_its_state_says_so() -> None:
    stage = Stage()
    for event, data in (
        ("execution_cached", {"nodes": []}),
        ("executing", {"node": "1"}),
        ("progress_state", {"nodes": {"1": {"state": "running", "value": 2, "max": 4}}}),
        ("progress", {"node": "1", "value": 2, "max": 4}),
        ("progress_state", states(**{"1": "finished"})),
        ("executing", {"node": "2"}),
        ("executed", {"node": "2", "output": {"text": ["x"]}}),
        ("progress_state", states(**{"1": "finished", "2": "finished"})),
        ("executing", {"node": None}),
    ):
        stage.events.received(event, data)
    assert stage.story() == [
        *("CallsCached", "CallStarted 1", "CallProgressed 1", "CallFinished 1"),
        *("CallStarted 2", "OutputMade 2", "CallFinished 2"),
    ]
    assert stage.events.executed == ["1", "2"]
    assert stage.events.models == {"m.safetensors"}


def test_without_states_a_call_ends_where_the_next_begins() -> None:
    stage = Stage(has_graph=False)
    for node_id in ("1", "2"):
        stage.events.received("executing", {"node": node_id})
    assert stage.story() == ["CallStarted 1", "CallFinished 1", "CallStarted 2"]


def test_an_output_of_a_call_that_did_not_start_is_cached() -> None:
    stage = Stage()
    stage.events.received("executed", {"node": "2", "output": None})
    stage.events.received("progress_state", states(**{"2": "finished"}))
    assert [m.made.cached for m in stage.sent if isinstance(m, OutputReady)] == [True]
    assert stage.story() == ["OutputMade 2", "CallFinished 2"]
    assert stage.events.executed == []


def test_a_cancel_that_came_before_the_start_is_not_forgotten() -> None:
    stage = Stage()
    stage.job.cancel()
    stage.events.received("execution_start", {})
    assert stage.interrupts == [True]


def test_other_events_are_messages_of_a_pack() -> None:
    stage = Stage()
    stage.events.received("executing", {"node": "1.0.0.1"})
    stage.events.received("impact-node-feedback", {"value": (1, 2)})
    stage.events.received("status", {"status": {}})
    [sent] = [m.event for m in stage.sent if m.kind == "MessageSent"]
    assert (sent.name, sent.data, sent.call.parent_id, sent.call.real_id) == (
        "impact-node-feedback",
        {"value": [1, 2]},
        "1",
        "1",
    )


def test_an_error_is_kept_and_a_blocked_call_is_none() -> None:
    stage = Stage()
    blocked = {"node_id": "2", "node_type": "B", "exception_message": "Execution Blocked: no"}
    stage.events.received("execution_error", blocked | {"exception_type": "ExecutionBlocked"})
    assert stage.events.error is None
    assert stage.story() == ["CallBlocked 2"]
    stage.events.received("execution_error", {"exception_type": "ValueError"})
    assert stage.events.error == {"exception_type": "ValueError"}


def test_a_text_names_its_node() -> None:
    stage = Stage()
    stage.events.received(3, struct.pack(">I", 1) + b"2" + "größer".encode())
    [sent] = [m.event for m in stage.sent]
    assert (sent.call.id, sent.text) == ("2", "größer")


def test_previews_are_small_and_results_are_whole() -> None:
    stage = Stage()
    large = Image.new("RGBA", (2048, 1024))
    stage.events.received(pictures.PIL_WITH_NODE, (("JPEG", large, 512), {"node_id": "2"}))
    stage.events.received(pictures.PIL_WITH_NODE, (("PNG", large, None), {"node_id": "2"}))
    [preview, result] = [m.event for m in stage.sent]
    assert (preview.mime_type, result.mime_type) == ("image/jpeg", "image/png")
    assert len(preview.image) < len(result.image)


@pytest.mark.parametrize(("kind", "mime_type"), [(1, "image/jpeg"), (2, "image/png")])
def test_encoded_pictures_are_passed_on(kind: int, mime_type: str) -> None:
    found = pictures.read(pictures.ENCODED, struct.pack(">I", kind) + b"bytes")
    assert (found.encode(), found.mime_type, found.node_id) == (b"bytes", mime_type, None)
    about = json.dumps({"node_id": "4", "image_type": mime_type}).encode()
    found = pictures.read(pictures.PIL_WITH_NODE, struct.pack(">I", len(about)) + about + b"bytes")
    assert (found.encode(), found.mime_type, found.node_id) == (b"bytes", mime_type, "4")
