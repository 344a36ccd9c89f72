"""Pickles become safetensors with the same numbers, and the code in them never runs."""

import collections
import contextlib
import io
import os
import pickle
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load

from safelight.media.convert_weights import convert
from safelight.media.media_errors import UnreadableWeights
from safelight.media.pickled_weights import read

DTYPES = (
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8),
    *(torch.uint8, torch.bool, torch.float8_e4m3fn, torch.float8_e5m2),
)


def saved(content: Any, *, zipped: bool = True) -> bytes:
    written = io.BytesIO()
    torch.save(content, written, _use_new_zipfile_serialization=zipped)
    return written.getvalue()


def converted(data: bytes) -> dict[str, torch.Tensor]:
    made = io.BytesIO()
    convert(io.BytesIO(data), made)
    tensors: dict[str, torch.Tensor] = load(made.getvalue())
    return tensors


def with_pickle(data: bytes, pickled: bytes) -> bytes:
    """The archive with a different ``data.pkl``."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(made, "w") as target:
        for name in source.namelist():
            target.writestr(name, pickled if name.endswith("data.pkl") else source.read(name))
    return made.getvalue()


@pytest.mark.parametrize("zipped", [True, False])
def test_every_type_and_layout_keeps_its_numbers(zipped: bool) -> None:
    base = torch.arange(60, dtype=torch.float32).reshape(3, 4, 5)
    expected = {str(dtype): (torch.arange(6) % 2).to(dtype) for dtype in DTYPES if zipped or dtype.itemsize > 1}
    expected |= {
        "turned": base.permute(2, 0, 1),
        "part": base[1:, ::2, 3],
        "spread": base[0, 0, :1].expand(7, 5),
        "scalar": torch.tensor(3.5),
        "empty": torch.zeros(0, 4),
        "half.turned": base.half().mT,
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "tied": base,
    }
    tensors = converted(saved(expected, zipped=zipped))
    assert tensors.keys() == expected.keys()
    for name, tensor in tensors.items():
        assert tensor.dtype == expected[name].dtype
        assert torch.equal(tensor.view(torch.uint8) if tensor.dim() else tensor, _raw(expected[name])), name


def _raw(tensor: torch.Tensor) -> torch.Tensor:
    tensor = tensor.detach().contiguous()
    return tensor.view(torch.uint8) if tensor.dim() else tensor


@pytest.mark.parametrize("key", ["state_dict", "params_ema", "params"])
def test_the_weights_of_a_checkpoint_are_found_and_the_rest_is_left(key: str) -> None:
    state = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2)).state_dict()
    checkpoint = {"epoch": 3, key: state, "optimizer": {"lr": 0.1}, "seen": {1, 2}}
    assert converted(saved(checkpoint)).keys() == state.keys()


def test_mappings_in_mappings_are_joined_by_dots() -> None:
    content = collections.OrderedDict(string_to_param={"*": torch.ones(2, 3)}, name="cat", step=7)
    assert list(converted(saved(content))) == ["string_to_param.*"]


def test_objects_of_training_programs_are_ignored() -> None:
    """Stable Diffusion 1 checkpoints contain objects of their training program, which is not installed."""
    pickled = (
        b"\x80\x02}(X\x09\x00\x00\x00callbackscpytorch_lightning.callbacks.model_checkpoint\nModelCheckpoint\n)\x81"
        b"}X\x04\x00\x00\x00bestK\x01sbX\x01\x00\x00\x00aK\x02u."
    )
    with pytest.raises(UnreadableWeights, match="no named tensor"):
        converted(with_pickle(saved({"a": torch.ones(1)}), pickled))


class Evil:
    """Would make a file."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> Any:
        return self._call


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("function", "name"),
    [(os.mkdir, "posix.mkdir"), (exec, "__builtin__.exec"), (getattr, "__builtin__.getattr")],
)
def test_no_code_is_run(tmp_path: Path, zipped: bool, function: Any, name: str) -> None:
    target = tmp_path / "made"
    arguments = {"exec": (f"open({str(target)!r}, 'w')",), "getattr": (str(target), "upper")}
    evil = Evil(function, *arguments.get(function.__name__, (str(target),)))
    data = saved({"a": torch.ones(1), "b": evil}, zipped=zipped)
    with pytest.raises(UnreadableWeights, match=f"the pickle asks for {name}"):
        converted(data)
    assert not target.exists()


@pytest.mark.parametrize(
    "name",
    [
        *("torch.hub\nload", "torch\nload", "torch.storage\n_load_from_bytes", "functools\npartial", "numpyx\nload"),
        *("torch._utils\n_rebuild_tensor_v2.__globals__", "safelight.media.pickled_weights\nread"),
    ],
)
def test_no_other_name_is_known(name: str) -> None:
    pickled = b"\x80\x02c" + name.encode() + b"\n."
    with pytest.raises(UnreadableWeights, match="which weights do not need"):
        converted(with_pickle(saved({"a": torch.ones(1)}), pickled))


def test_placeholders_of_ignored_objects_do_nothing() -> None:
    """Calls, states and items of an ignored name create nothing, whatever their arguments."""
    pickled = b"\x80\x02cnumpy.core.multiarray\nscalar\n(X\x02\x00\x00\x00osK\x01tR}X\x01\x00\x00\x00xK\x01sb."
    content = read(io.BytesIO(with_pickle(saved({"a": torch.ones(1)}), pickled))).content
    assert type(content).__name__ == "Ignored"
    assert not hasattr(content, "x")


def tensor_pickle(*, count: int = 4, offset: int = 0, shape: tuple[int, ...] = (4,), strides: Any = (1,)) -> bytes:
    """The pickle of one tensor over the storage ``0``, with the given claims about it."""

    class Raw(pickle._Pickler):
        def persistent_id(self, value: Any) -> Any:
            return ("storage", torch.FloatStorage, "0", "cpu", count) if value is ... else None

    written = io.BytesIO()
    arguments = (..., offset, shape, strides, False, collections.OrderedDict())
    Raw(written, 2).dump({"w": Evil(torch._utils._rebuild_tensor_v2, *arguments)})
    return written.getvalue()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"offset": 1}, "beyond its storage"),
        ({"offset": -1}, "invalid size -1"),
        ({"shape": (2, 2), "strides": (1, 9)}, "beyond its storage"),
        ({"shape": (2**61, 8), "strides": (1, 1)}, "beyond its storage"),
        ({"strides": (1, 1)}, "from something other than a storage"),
        ({"shape": (1,) * 65, "strides": (1,) * 65}, "65 dimensions"),
        ({"shape": ("a",)}, "invalid size 'a'"),
        ({"count": 1000, "shape": (1000,)}, "truncated"),
        ({"count": 2**63}, "invalid size"),
    ],
)
def test_a_tensor_that_is_not_in_its_storage_is_refused(said: dict[str, Any], words: str) -> None:
    whole = saved({"w": torch.ones(4)})
    assert converted(with_pickle(whole, tensor_pickle()))["w"].tolist() == [1] * 4
    with pytest.raises(UnreadableWeights, match=words):
        converted(with_pickle(whole, tensor_pickle(**said)))


@pytest.mark.parametrize("number", [b"r\xff\xff\xff\x7f", b"q\xff", b"p4000000000\n"])
def test_a_memo_far_away_takes_no_memory(number: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(UnreadableWeights, match="invalid memo number"):
        converted(b"\x80\x02}" + number + b".")
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


WHOLE = [saved({"a": torch.ones(3), "b": torch.zeros(2, 2)}, zipped=zipped) for zipped in (True, False)]


# Python warns about backslashes in random text.
@pytest.mark.filterwarnings("ignore:invalid .*escape sequence:DeprecationWarning")
@given(whole=st.sampled_from(WHOLE), at=st.integers(0, 1200), junk=st.binary(max_size=16), cut=st.booleans())
def test_junk_is_converted_or_refused_and_never_raises_anything_else(
    whole: bytes, at: int, junk: bytes, cut: bool
) -> None:
    at %= len(whole)
    with contextlib.suppress(UnreadableWeights):
        convert(io.BytesIO(whole[:at] + junk + (b"" if cut else whole[at + len(junk) :])), io.BytesIO())


def test_other_pickles_are_said_to_be_none_of_torch() -> None:
    with pytest.raises(UnreadableWeights, match="was not written by torch"):
        converted(pickle.dumps({"a": 1}))
    with pytest.raises(UnreadableWeights, match="damaged"):
        converted(struct.pack("<BB", 0x80, 9))
