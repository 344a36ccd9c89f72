"""The agent's codec against the server's: what one writes, the other reads."""

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safelight.comfyui_engine.agent import codec
from safelight.wire import messages as wire
from safelight.wire.codec import CorruptStream
from safelight.wire.codec import Decoder as ServerDecoder
from safelight.wire.codec import encode as server_encode

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary(max_size=300),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=5), inner, max_size=20),
    max_leaves=30,
)


@given(PLAIN.map(lambda data: {"type": "X", "data": data}))
def test_what_is_encoded_is_decoded_unchanged(message: dict[str, Any]) -> None:
    assert list(codec.Decoder().feed(codec.encode(message))) == [message]


@given(st.dictionaries(st.text(max_size=5), PLAIN, max_size=5))
def test_the_server_reads_what_the_agent_writes(data: dict[str, Any]) -> None:
    fields = {"call": {"id": "1", "display_id": "1", "parent_id": None, "real_id": "1"}, "name": "n", "data": data}
    report = {"type": "CallReport", "job_id": "j", "attempt": 1, "kind": "MessageSent", "fields": fields}
    [read] = ServerDecoder[Any](wire.ToServer).feed(codec.encode(report))
    assert read.event.data == data


@given(st.dictionaries(st.text(max_size=5), PLAIN, max_size=5), st.integers(1, 7))
def test_the_agent_reads_what_the_server_writes_in_any_pieces(prompt: dict[str, Any], size: int) -> None:
    job = wire.RunJob(job_id="j", attempt=1, owner_id="o", prompt=prompt, targets=["1"], staging="/s")
    frames, decoder = server_encode((job, wire.Ping(sequence=300))), codec.Decoder()
    found = [m for at in range(0, len(frames), size) for m in decoder.feed(frames[at : at + size])]
    assert [message["type"] for message in found] == ["RunJob", "Ping"]
    assert (found[0]["prompt"], found[1]["sequence"]) == (prompt, 300)


@pytest.mark.parametrize("size", [0, 15, 16, 31, 32, 255, 256, 65535, 65536, 100_000])
def test_sizes_at_the_borders_of_the_forms(size: int) -> None:
    message = {
        "type": "X",
        "text": "a" * size,
        "bytes": b"b" * size,
        "list": [1] * size,
        "map": dict.fromkeys(map(str, range(size))),
    }
    body = codec.encode(message)[4:]
    assert msgspec.msgpack.decode(body) == message
    assert codec.decode(msgspec.msgpack.encode(message)) == message


@pytest.mark.parametrize(
    "body", [b"", b"\xc1", b"\x81", b"\xa5ab", b"\x90", b"\xc7\x01\x07a", b"\x80\x80", b"\xdd\xff\xff\xff\xff"]
)
def test_garbage_is_refused(body: bytes) -> None:
    with pytest.raises(codec.CorruptFrameError):
        codec.decode(body)


def test_a_frame_that_is_too_long_is_refused_before_it_is_read() -> None:
    with pytest.raises(codec.CorruptFrameError, match="4294967295 bytes"):
        list(codec.Decoder().feed(b"\xff\xff\xff\xff"))
    with pytest.raises(CorruptStream):
        list(ServerDecoder[Any](wire.ToServer).feed(b"\xff\xff\xff\xff"))


def test_lone_surrogates_and_other_libraries_numbers_become_plain() -> None:
    class Text(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = str.__hash__

    class Scalar:
        size = 1

        def item(self) -> float:
            return 0.5

    found = codec.plain({"a": Text("x"), 1: (Scalar(), {3, 1}), "f": print})
    assert type(found["a"]) is str
    assert found["1"] == [0.5, [1, 3]]
    assert found["f"] == str(print)
    assert codec.decode(codec.encode({"type": "X", "s": "\ud800"})[4:])["s"] == "?"
    assert math.isinf(codec.decode(codec.encode({"type": "X", "f": math.inf})[4:])["f"])


def test_data_that_is_too_deep_is_refused() -> None:
    deep: Any = []
    for _ in range(1000):
        deep = [deep]
    with pytest.raises(ValueError, match="levels"):
        codec.encode({"type": "X", "data": deep})
