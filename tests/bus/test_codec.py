"""Every event that there is goes to another process and is the same there."""

from datetime import UTC, datetime
from typing import get_args

import pytest

from safelight.bus import codec
from safelight.core import event as events
from safelight.core.batch import BatchId
from safelight.core.event import Event, JobEvent, NodeCall
from safelight.core.gate import Gates, QueueGate
from safelight.core.ids import ClientId, JobId, UserId
from safelight.core.job import JobError, JobState
from safelight.core.pool import Pool
from safelight.core.worker import SlotGate, SlotId

NOW = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
CALL = NodeCall("1.2", "1", "1", "7")
WORDS = {"owner_id": UserId("anna"), "job_id": JobId("j"), "client_id": ClientId("c"), "at": NOW}
ERROR = JobError("ValueError", "no", node_id="1", traceback=["a", "b"], current_inputs={"x": [1, "y"]})

ALL: list[Event] = [
    events.JobQueued(**WORDS, pool=Pool("large")),
    events.JobStarted(**WORDS, attempt=2),
    events.JobReattached(**WORDS, attempt=2, running=[CALL], finished=[CALL, CALL]),
    events.JobRequeued(**WORDS, reason="lost"),
    events.CancelRequested(**WORDS, attempt=1),
    events.JobEnded(**WORDS, state=JobState.FAILED, error=ERROR, executed=["1", "2"]),
    events.JobForgotten(**WORDS | {"client_id": None}),
    events.CallReported(**WORDS, event=events.CallsCached(call_ids=["1"])),
    events.CallReported(**WORDS, event=events.CallStarted(call=CALL)),
    events.CallReported(**WORDS, event=events.CallProgressed(call=CALL, value=1.5, total=20.0)),
    events.CallReported(**WORDS, event=events.CallFinished(call=CALL)),
    events.CallReported(**WORDS, event=events.CallBlocked(call=CALL, node_type="T", message="no", executed=["3"])),
    events.CallReported(
        **WORDS,
        event=events.OutputMade(call=CALL, output={"images": [{"filename": "a.png"}], "n": [1, 2.5, None, True]}),
    ),
    events.CallReported(**WORDS, event=events.PreviewMade(call=CALL, image=bytes(range(256)), mime_type="image/jpeg")),
    events.CallReported(**WORDS, event=events.TextShown(call=CALL, text="Grüße")),
    events.CallReported(**WORDS, event=events.MessageSent(call=CALL, name="pack.said", data={"a": [1, {"b": None}]})),
    events.QueueChanged(UserId("anna"), 3),
    events.PackMessageSent(UserId("anna"), ClientId("tab"), "pack.event", {"a": [1, None]}),
    events.LogWritten(None, [(NOW, "a line\n")]),
    events.AccessChanged(),
    events.GatesChanged(Gates(QueueGate.PAUSED, {SlotId("local-0"): SlotGate.DRAINED})),
    events.FilesChanged(UserId("anna")),
    events.NodesChanged("abc"),
    events.LeaderChanged(4),
    events.BatchChanged(UserId("anna"), BatchId("b")),
    events.WebhookQueued(),
    events.JobTimed(**WORDS, device="cpu", seconds={"1": 0.5}, total_s=0.5),
    events.EventsMissed(),
]


def plain(event: Event) -> object:
    """Sequences are lists or tuples, as they came."""
    return repr(event).replace("(", "[").replace(")", "]").replace(",]", "]")


def test_no_event_is_forgotten() -> None:
    kinds = {kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, get_args(Event))}
    assert {type(event) for event in ALL} == kinds - {JobEvent}


@pytest.mark.parametrize("event", ALL, ids=lambda event: type(event).__name__)
def test_it_is_the_same_there(event: Event) -> None:
    [read] = codec.decode(codec.encode([event]))
    assert type(read) is type(event)
    assert plain(read) == plain(event)


def test_the_secrets_of_a_job_stay_here() -> None:
    data = codec.encode([events.JobQueued(**WORDS, secrets={"api_key_comfy_org": "hidden-key"})])
    assert b"hidden-key" not in data
    assert codec.decode(data) == [events.JobQueued(**WORDS)]


def test_what_a_newer_server_tells_is_left_out() -> None:
    data = codec.encode(ALL).replace(b"LeaderChanged", b"HeaderChanged")
    assert len(codec.decode(data)) == len(ALL) - 1


def test_garbage_is_said_to_be_garbage() -> None:
    with pytest.raises(ValueError, match="not the events"):
        codec.decode(b"\xc1nothing")
