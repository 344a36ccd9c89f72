"""Frames: any message, any cut of the stream, and what garbage leads to."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.events import output, report

from safelight.core.event import CallStarted, NodeCall, PreviewMade
from safelight.core.job import JobError, JobState
from safelight.core.node import InputSchema, NodeSchema, OutputSchema, Section
from safelight.core.worker import Device, EngineInfo
from safelight.wire import codec
from safelight.wire.codec import CorruptStream, Decoder, encode
from safelight.wire.config import EngineConfig
from safelight.wire.messages import (
    CallReport,
    FileRef,
    JobDone,
    LogLines,
    Ping,
    Ready,
    RunJob,
    SavedFile,
    ToEngine,
    ToServer,
)

CALL = NodeCall("3.0.0.1", "3", "3", "3")
INFO = EngineInfo("3.11.7", "2.13.0", (Device("cpu", "cpu", None, 10, 5),), 42, host="node-7")
NODE = NodeSchema(
    name="N",
    display_name="N",
    category="c",
    inputs=(InputSchema("a", "INT", Section.OPTIONAL, {"max": 2**64 - 1, "default": 0}),),
    outputs=(OutputSchema("COMBO", "x", options=("a", "b")),),
    validated_inputs=("*",),
)
SAID: list[ToServer] = [
    Ready(info=INFO, nodes=[NODE], failed_packs={"p": "no"}),
    report(CallStarted(CALL), job_id="j", attempt=1),
    report(PreviewMade(CALL, b"\xff\xd8\x00", "image/jpeg"), job_id="j", attempt=1),
    output(
        job_id="j",
        attempt=1,
        call=CALL,
        ui={"images": [{"filename": "a.png"}], "text": ["ü"]},
        files=[SavedFile("output", "", "a.png", "/s/1.png", 3, "0" * 64, "image/png")],
    ),
    JobDone(job_id="j", attempt=2, outcome=JobState.FAILED, error=JobError("re.error", "x\n", traceback=["a"])),
    LogLines(lines=[(1, "a")], job_id=None),
]


def job(prompt: dict[str, Any]) -> RunJob:
    return RunJob(
        job_id="j",
        attempt=1,
        owner_id="u",
        prompt=prompt,
        targets=["1"],
        staging="/s",
        files={"a.png": FileRef("0" * 64, 1, "image/png", "/b/a")},
    )


def as_sent(messages: list[ToServer]) -> bytes:
    """Sequences arrive as lists or tuples, by their declared type: compare what they hold."""
    return msgspec.msgpack.encode(messages)


@pytest.mark.parametrize("step", [1, 2, 3, 7, 4096])
def test_messages_survive_any_cut(step: int) -> None:
    stream = encode(SAID)
    decoder: Decoder[ToServer] = Decoder(ToServer)
    received = [m for i in range(0, len(stream), step) for m in decoder.feed(stream[i : i + step])]
    decoder.finish()
    assert [type(m) for m in received] == [type(m) for m in SAID]
    assert as_sent(received) == as_sent(SAID)


def test_what_arrives_has_its_types() -> None:
    [ready, started, _, _, done, _] = Decoder[ToServer](ToServer).feed(encode(SAID))
    assert isinstance(ready, Ready)
    assert ready.nodes == [NODE]
    assert isinstance(started, CallReport)
    assert started.event == CallStarted(CALL)
    assert isinstance(done, JobDone)
    assert done.outcome is JobState.FAILED
    assert isinstance(done.error, JobError)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), plain, max_size=5))
def test_a_prompt_of_any_json_arrives_as_it_was(prompt: dict[str, Any]) -> None:
    [received] = Decoder[ToEngine](ToEngine).feed(encode([job(prompt)]))
    assert isinstance(received, RunJob)
    assert received.prompt == prompt


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**40])
def test_integers_beyond_64_bits_arrive(number: int) -> None:
    [received] = Decoder[ToEngine](ToEngine).feed(encode([job({"n": [number]})]))
    assert isinstance(received, RunJob)
    assert received.prompt == {"n": [number]}


def test_a_lone_surrogate_arrives_replaced() -> None:
    [received] = Decoder[ToEngine](ToEngine).feed(encode([job({"t": "a\ud800b"})]))
    assert isinstance(received, RunJob)
    assert received.prompt["t"] == "a?b"


def test_what_is_not_plain_data_is_refused() -> None:
    with pytest.raises(TypeError):
        encode([job({"x": object()})])


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        (b"Traceback (most recent call last):\n", "is longer than"),
        (b"\x00\x00\x00\x03abc", "is not a message"),
        (b"\x00\x00\x00\x01\xc1", "is not a message"),
        (encode([Ping(sequence=1)]), "is not a message"),
        (b"\x00\x00\x00\x04\xc7\x01\x07\x00", "is not a message"),
    ],
    ids=["text", "msgpack of another kind", "no msgpack", "a message of the other direction", "unknown extension"],
)
def test_garbage_is_named(stream: bytes, words: str) -> None:
    with pytest.raises(CorruptStream, match=words):
        list(Decoder[ToServer](ToServer).feed(stream))


def test_the_end_inside_a_frame_is_named() -> None:
    decoder: Decoder[ToEngine] = Decoder(ToEngine)
    frame = encode([Ping(sequence=1)])
    assert list(decoder.feed(frame[:-1])) == []
    with pytest.raises(CorruptStream, match="inside a frame"):
        decoder.finish()


def test_a_frame_beyond_the_limit_is_refused_before_it_is_read() -> None:
    decoder: Decoder[ToEngine] = Decoder(ToEngine, max_bytes=8)
    with pytest.raises(CorruptStream, match="9 bytes"):
        list(decoder.feed(b"\x00\x00\x00\x09"))


def test_what_came_before_garbage_is_not_lost() -> None:
    frames = Decoder[ToEngine](ToEngine).feed(encode([Ping(sequence=1)]) + b"\xff\xff\xff\xff")
    assert next(frames) == Ping(sequence=1)
    with pytest.raises(CorruptStream):
        next(frames)


def test_the_limit_is_beyond_any_message() -> None:
    assert codec.MAX_FRAME_BYTES >= 64 * 1024 * 1024


def test_the_configuration_travels_too() -> None:
    config = EngineConfig(device="cpu", node_packages=("a.b",))
    assert list(Decoder[EngineConfig](EngineConfig).feed(encode([config]))) == [config]
