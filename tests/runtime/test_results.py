"""The forms in which nodes return results."""

from dataclasses import replace
from typing import Any

import pytest

from safelight.core.node import NodeSchema, OutputSchema
from safelight.graph.instructions import Blocked, Returned
from safelight.runtime.results import normalise
from safelight.runtime.sizes import size_of
from safelight.sdk import Blocker, NodeOutput, ui

TWO = NodeSchema(
    name="T",
    display_name="T",
    category="",
    inputs=(),
    outputs=(OutputSchema("INT", "a"), OutputSchema("INT", "b", is_list=True)),
)


def as_returned(given: Returned | Blocked) -> tuple[Any, Any, Any]:
    assert isinstance(given, Returned)
    return list(given.values), given.ui, given.expand


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ((1, [2, 3]), ([1, [2, 3]], None, None)),
        ([1, [2]], ([1, [2]], None, None)),
        (NodeOutput(1, [2]), ([1, [2]], None, None)),
        (NodeOutput(1, [2], ui=ui.Text("a", "b")), ([1, [2]], {"text": ["a", "b"]}, None)),
        ({"ui": {"text": ("a",)}, "result": (1, [2])}, ([1, [2]], {"text": ["a"]}, None)),
        ({"ui": {"text": "alone"}}, ([None, None], {"text": ["alone"]}, None)),
        ({"result": (["9", 0], [2]), "expand": {"9": {}}}, ([["9", 0], [2]], None, {"9": {}})),
        (NodeOutput(["9", 0], [2], expand={"9": {}}), ([["9", 0], [2]], None, {"9": {}})),
        (None, ([None, None], None, None)),
        (NodeOutput(), ([None, None], None, None)),
        ((Blocker("no"), [1, Blocker()]), ([Blocked("no"), [1, Blocked()]], None, None)),
        (NodeOutput(block_execution="no"), ([Blocked("no"), Blocked("no")], None, None)),
        ({"result": Blocker("no"), "ui": {"a": [1]}}, ([Blocked("no"), Blocked("no")], {"a": [1]}, None)),
    ],
)
def test_answers(result: Any, expected: tuple[Any, Any, Any]) -> None:
    assert as_returned(normalise(result, TWO)) == expected


def test_a_blocker_alone_blocks_all() -> None:
    assert normalise(Blocker("no"), TWO) == Blocked("no")


@pytest.mark.parametrize("result", [5, "text", {"result": 5}, {"ui": 5}])
def test_an_invalid_result_is_named(result: Any) -> None:
    with pytest.raises(TypeError, match="the node"):
        normalise(result, TWO)


def test_what_a_node_without_outputs_returns_is_ignored() -> None:
    """was-node-suite-comfyui: ``Text Add Tokens`` returns its text."""
    assert as_returned(normalise("text", replace(TWO, outputs=()))) == ([], None, None)


class Array:
    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes


def test_arrays_are_counted_at_any_depth() -> None:
    array = Array(1_000_000)
    assert 1_000_000 <= size_of([array]) < 1_001_000
    assert 1_000_000 <= size_of([{"samples": [array]}, (array, array)]) < 1_002_000

    class Holder:
        def __init__(self) -> None:
            self.inner = {"weights": Array(5_000_000)}

    assert size_of([Holder()]) >= 5_000_000


def test_counting_ends_on_cycles_and_on_many_values() -> None:
    circle: list[Any] = []
    circle.append(circle)
    assert size_of(circle) < 1000
    assert size_of([list(range(1_000_000))]) < 10_000_000
