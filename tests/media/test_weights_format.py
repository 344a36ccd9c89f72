"""Files of weights are recognized by their bytes: what may be loaded, what is a pickle, and false headers."""

import contextlib
import json
import pickle
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from safelight.media.media_errors import UnreadableWeights
from safelight.media.weights_format import PickledWeights, WeightsFormat, check_weights


def safetensors(header: Any, data: bytes = b"", *, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype: str, shape: list[int], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def gguf(*, tensors: bytes, tensor_count: int = 1, facts: bytes = b"", fact_count: int = 0, data: int = 64) -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", 3, tensor_count, fact_count) + facts + tensors
    return head + bytes(-len(head) % 32 + data)


def gguf_tensor(*shape: int, type: int = 0, offset: int = 0) -> bytes:
    return text("w") + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, type, offset)


FACTS = (
    text("general.architecture")
    + struct.pack("<I", 8)
    + text("flux")
    + (text("tokens") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("b"))
    + (text("scores") + struct.pack("<IIQ", 9, 6, 3) + bytes(12))
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "w.safetensors"


def test_files_of_the_library_are_accepted(path: Path) -> None:
    save_file({"a": torch.ones(2, 3), "b": torch.zeros(0), "c": torch.ones(4, dtype=torch.bfloat16)}, path, {"k": "v"})
    assert check_weights(path) is WeightsFormat.SAFETENSORS


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not a safetensors file"),
        (b"\0" * 7, "not a safetensors file"),
        (safetensors({}, length=2**63), "it is truncated"),
        (safetensors({"a": entry("F32", [2], 0, 8)}, bytes(7)), "end at byte 8, the file at byte 7"),
        (safetensors({"a": entry("F32", [2], 0, 8)}, bytes(9)), "end at byte 8, the file at byte 9"),
        (safetensors({"a": entry("F32", [3], 0, 8)}, bytes(8)), "8 bytes do not match a F32 tensor"),
        (safetensors({"a": entry("F32", [2**62, 4], 0, 8)}, bytes(8)), "8 bytes do not match a F32 tensor"),
        (safetensors({"a": entry("U8", [4], 0, 4), "b": entry("U8", [4], 2, 6)}, bytes(6)), "overlap"),
        (safetensors({"a": entry("U8", [4], 1, 5)}, bytes(5)), "gap"),
        (safetensors({"a": entry("U8", [-1], 0, 0)}), "non-negative integers"),
        (safetensors({"a": entry("U8", [True], 0, 1)}, b"x"), "non-negative integers"),
        (safetensors({"a": entry("OBJECT", [1], 0, 1)}, b"x"), "unknown type 'OBJECT'"),
        (safetensors({"a": entry("U8", [1] * 65, 0, 1)}, b"x"), "65 dimensions"),
        (safetensors({"a": None}), "invalid header"),
        (safetensors([1]), "invalid header"),
        (safetensors({"__metadata__": {"k": 1}}), "metadata values must be strings"),
        (safetensors(b'{"a": 1, "a": 2}'), "duplicate"),
        (safetensors(b"[" * 100_000), "invalid header"),
        (safetensors(b'{"\xff": 1}'), "invalid header"),
        (b"<html>" + bytes(600), "not a safetensors file"),
    ],
)
def test_a_false_header_is_refused(path: Path, data: bytes, words: str) -> None:
    path.write_bytes(data)
    with pytest.raises(UnreadableWeights, match=words) as raised:
        check_weights(path)
    assert not isinstance(raised.value, PickledWeights)


def test_no_more_is_read_than_a_header_may_have(path: Path) -> None:
    """A sparse file of 200 MB whose header claims nearly all of it."""
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 150_000_000) + b"{")
        file.truncate(200_000_000)
    tracemalloc.start()
    with pytest.raises(UnreadableWeights, match="the limit is 100000000"):
        check_weights(path)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("name", ["w.ckpt", "w.safetensors", "w.gguf", "w.latent", "w"])
def test_a_pickle_is_one_by_any_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    for zipped in (True, False):
        torch.save({"a": torch.ones(2)}, path, _use_new_zipfile_serialization=zipped)
        with pytest.raises(PickledWeights, match=f"{name} is a pickle.*safelight model convert"):
            check_weights(path)
    for protocol in range(2, 6):
        path.write_bytes(pickle.dumps({"a": 1}, protocol))
        with pytest.raises(PickledWeights):
            check_weights(path)


def test_a_header_whose_length_looks_like_a_pickle_is_none(path: Path) -> None:
    """A length of 0x0280 bytes, which is also how a pickle of protocol 2 begins."""
    header = json.dumps({"a": entry("U8", [1], 0, 1)}).encode()
    path.write_bytes(safetensors(header.ljust(0x0280), b"x"))
    assert path.read_bytes()[:2] == b"\x80\x02"
    assert check_weights(path) is WeightsFormat.SAFETENSORS


@pytest.mark.parametrize(
    "data",
    [
        gguf(tensors=gguf_tensor(4, 4)),
        gguf(tensors=gguf_tensor(4, 4), facts=FACTS, fact_count=3),
        gguf(tensors=gguf_tensor(64, type=8), data=68),
        gguf(tensors=gguf_tensor(64, type=99)),
    ],
)
def test_gguf_is_taken(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    assert check_weights(path) is WeightsFormat.GGUF


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"GGUF", "truncated"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "unsupported version 1"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0), "too many"),
        (gguf(tensors=gguf_tensor(4, 5)), "beyond the end"),
        (gguf(tensors=gguf_tensor(2**40, 2**40)), "beyond the end"),
        (gguf(tensors=gguf_tensor(4, offset=2**63)), "beyond the end"),
        (gguf(tensors=gguf_tensor(4, offset=8)), "misaligned"),
        (gguf(tensors=gguf_tensor(1, 1, 1, 1, 1)), "5 dimensions"),
        (gguf(tensors=gguf_tensor(33, type=8)), "not a whole number of blocks"),
        (gguf(tensors=gguf_tensor(1) * 2, tensor_count=2), "duplicate"),
        (gguf(tensors=b"", tensor_count=0, facts=struct.pack("<Q", 2**50), fact_count=1), "truncated"),
        (gguf(tensors=b"", facts=text("a") + struct.pack("<IIQ", 9, 10, 2**60), fact_count=1), "truncated"),
        (gguf(tensors=b"", facts=text("a") + struct.pack("<I", 77), fact_count=1), "unknown metadata type 77"),
        (
            gguf(tensors=b"", facts=text("general.alignment") + struct.pack("<II", 4, 0), fact_count=1, tensor_count=0),
            "invalid alignment 0",
        ),
    ],
)
def test_a_false_gguf_header_is_refused(path: Path, data: bytes, words: str) -> None:
    path.write_bytes(data)
    with pytest.raises(UnreadableWeights, match=words):
        check_weights(path)


GOOD = (safetensors({"a": entry("F32", [2], 0, 8)}, bytes(8)), gguf(tensors=gguf_tensor(4), facts=FACTS, fact_count=3))


@given(good=st.sampled_from(GOOD), at=st.integers(0, 200), junk=st.binary(max_size=24), cut=st.booleans())
def test_junk_is_taken_or_refused_and_never_raises_anything_else(
    tmp_path_factory: pytest.TempPathFactory, good: bytes, at: int, junk: bytes, cut: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "junk"
    path.write_bytes(good[:at] + junk + (b"" if cut else good[at + len(junk) :]))
    with contextlib.suppress(UnreadableWeights):
        check_weights(path)
