"""Nodes with random inputs from their schemas, against ComfyUI's recorded results: up to two cases per node
(``benchmarks/against_comfyui/nodes.py`` draws others, and runs them in ComfyUI too)."""

import json
from typing import Any

import pytest
import torch
from benchmarks.against_comfyui.node_values import summary
from benchmarks.against_comfyui.nodes import GOLDEN, NODES, ours
from tests.golden.vectors import FOLDER

CASES: list[Any] = json.loads(GOLDEN.read_text("utf-8"))
IDS = [f"{case['node']}-{number}" for number, case in enumerate(CASES)]


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_outputs_equal_comfyuis(case: Any) -> None:
    tensors: dict[str, torch.Tensor] = {}
    made = ours(case, tensors)
    assert "error" not in made
    _assert_like(summary(made["values"], tensors), case["gives"])


def test_nodes_take_lists_where_comfyuis_do() -> None:
    measured = json.loads((FOLDER / "vectors.json").read_text("utf-8"))
    with_lists = {case["node"] for case in measured if case.get("input_is_list")}
    assert "RebatchLatents" in with_lists
    for name in {case["node"] for case in measured} & NODES.keys():
        assert NODES[name].node_schema().input_is_list is (name in with_lists), name


def _assert_like(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, dict):
        assert ours.keys() == theirs.keys()
        (tag,) = theirs
        if tag == "tensor":
            (shape, *numbers), (wanted, *expected) = ours[tag], theirs[tag]
            assert shape == wanted
            size = max((abs(number) for number in expected), default=0.0)
            assert numbers == pytest.approx(expected, rel=1e-3, abs=max(2e-4 * size, 1e-5))
            return
        _assert_like(ours[tag], theirs[tag]) if tag == "told" else None
        if tag == "dict":
            assert ours[tag].keys() == theirs[tag].keys()
            for key, value in theirs[tag].items():
                _assert_like(ours[tag][key], value)
        elif tag == "list":
            assert len(ours[tag]) == len(theirs[tag])
            for one, other in zip(ours[tag], theirs[tag], strict=True):
                _assert_like(one, other)
    elif isinstance(theirs, float):
        assert ours == pytest.approx(theirs)
    else:
        assert ours == theirs
