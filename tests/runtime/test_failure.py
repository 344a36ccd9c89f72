"""Exceptions and inputs as clients see them."""

import json
import re

import pytest

from safelight.runtime.failure import inputs_of, message_of, summary, traceback_of, type_name


class Tensor:
    shape = (1, 64, 64, 3)
    dtype = "float32"


class OddError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


def test_types_have_their_module_unless_it_is_built_in() -> None:
    assert type_name(ValueError()) == "ValueError"
    with pytest.raises(re.error) as raised:
        re.compile("(")
    assert type_name(raised.value) == "re.error"


def test_messages_end_a_line_and_hide_paths() -> None:
    error = OSError("cannot read /data/blobs/ab/cd or /data/blobs/ab")
    assert message_of(error, shown_paths={"/data/blobs/ab": "X", "/data/blobs/ab/cd": "a.png"}) == (
        "cannot read a.png or X\n"
    )
    assert "cannot be shown" in message_of(OddError(), shown_paths={})


def test_frames_show_no_paths_of_this_machine() -> None:
    with pytest.raises(json.JSONDecodeError) as raised:
        json.loads("{")
    frames = traceback_of(raised.value)
    assert '  File "json/decoder.py"' in frames[-1]
    assert not any('File "/' in frame for frame in frames)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (0.5, 0.5),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        ("text", "text"),
        ("x" * 3000, "x" * 2000 + "... (3000 characters)"),
        (Tensor(), "Tensor(shape=[1, 64, 64, 3], dtype=float32)"),
        ({"samples": Tensor(), "n": 1}, "{'samples': Tensor(shape=[1, 64, 64, 3], dtype=float32), 'n': 1}"),
        (["a", 1, [2]], "['a', 1, [2]]"),
        ([[[1]]], "[[<builtins.list>]]"),
        (list(range(30)), "[" + ", ".join(map(str, range(20))) + ", ...]"),
    ],
)
def test_inputs_are_short_plain_data(value: object, shown: object) -> None:
    assert summary(value) == shown
    json.dumps(summary(value), allow_nan=False)


def test_inputs_are_lists_over_the_invocations() -> None:
    assert inputs_of([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]) == {"a": [1, 2], "b": ["x", "y"]}
    assert len(inputs_of([{"a": i} for i in range(1000)])["a"]) == 20


def test_a_pack_that_reaches_into_a_network_is_told_where_it_runs() -> None:
    network = type("Denoiser", (), {"__module__": "safelight.models.family"})()
    hint = ": needs ComfyUI's samplers; runs on a ComfyUI engine"

    def asked_by(module: str) -> str:
        with pytest.raises(AttributeError) as raised:
            exec("network.clone()", {"__name__": module, "network": network})
        return message_of(raised.value, shown_paths={})

    assert asked_by("custom_nodes.pack.nodes") == f"'Denoiser' object has no attribute 'clone'{hint}\n"
    assert asked_by("safelight.nodes.model") == "'Denoiser' object has no attribute 'clone'\n"
