"""Every node against ComfyUI's measured values, to the last bit: see :mod:`tests.golden.vectors` for the language."""

import asyncio
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from tests.golden.vectors import Case, Vectors

import safelight.nodes
from safelight.sdk import NodeOutput
from safelight.sdk.registry import discover

VECTORS = Vectors()
NODES = discover(safelight.nodes)

NOT_YET: set[str] = set()
"""Nodes with measured values that no module provides. Nothing else may be skipped."""

MKL = "MKL's sqrt and exp differ in the last bit between kinds of processors (MKL_CBWR=COMPATIBLE shows it)"

TOLERANCE: dict[str, tuple[float, str]] = {
    "ImageBlend/017": (1e-6, MKL),
    "ImageBlur/003": (1e-6, MKL),
    "ImageSharpen/002": (1e-6, MKL),
    "ImageSharpen/006": (1e-6, MKL),
    "ImageSharpen/008": (1e-6, MKL),
    "KarrasScheduler/002": (1e-6, MKL),
    "LaplaceScheduler/001": (1e-6, MKL),
    "LaplaceScheduler/002": (1e-6, MKL),
    "PolyexponentialScheduler/000": (1e-6, MKL),
    "PolyexponentialScheduler/001": (1e-6, MKL),
    "VPScheduler/002": (1e-6, MKL),
}
"""``case: (absolute tolerance, why the last bit cannot be had)``."""


@dataclass(frozen=True)
class Deviation:
    """Where ComfyUI's answer is a fault, ours is right: ``succeeds`` says whether our node answers or refuses."""

    succeeds: bool
    reason: str


DEVIATIONS: dict[str, Deviation] = {
    f"{node}/{number}": deviation
    for node, numbers, deviation in (
        (
            "ResizeImageMaskNode",
            (109, 111, 113, 115, 116, 117, 118),
            Deviation(succeeds=True, reason="ComfyUI cannot scale a mask with lanczos"),
        ),
        (
            "LatentInterpolate",
            ("003", "005"),
            Deviation(succeeds=True, reason="ComfyUI mixes up the batch and the channels, and fails"),
        ),
        (
            "RegexExtract",
            ("034",),
            Deviation(succeeds=True, reason="ComfyUI fails on a group that took no part in a match"),
        ),
        (
            "MergeTextLists",
            ("000", "001"),
            Deviation(succeeds=True, reason="ComfyUI gives a list within a list as if it were one text"),
        ),
        ("CaseConverter", ("004", "019", "024"), Deviation(succeeds=False, reason="ComfyUI lets an unknown mode pass")),
        ("StringTrim", ("010",), Deviation(succeeds=False, reason="ComfyUI lets an unknown mode pass")),
    )
    for number in numbers
}


MORE_OUTPUTS = {"PreviewAny"}
"""Nodes that got an output since the measurement, which published workflows use."""


def call(node: str, inputs: dict[str, Any]) -> NodeOutput:
    result = NODES[node].execute(**inputs)
    if inspect.iscoroutine(result):
        result = asyncio.run(result)
    return result if isinstance(result, NodeOutput) else NodeOutput(*result)


@pytest.fixture
def two_threads() -> Iterator[None]:
    """An image scaled by torch on one thread differs in the last bit; the measured ones were scaled on several."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("case", VECTORS.cases, ids=lambda case: case.id)
@pytest.mark.usefixtures("two_threads")
def test_values(case: Case) -> None:
    if case.nodes & NOT_YET:
        pytest.skip(f"not provided yet: {sorted(case.nodes & NOT_YET)}")
    torch.manual_seed(0)
    inputs = VECTORS.inputs(case, lambda node, given: call(node, given).values)
    before = list(_tensors(VECTORS.inputs(case, lambda node, given: call(node, given).values)))
    torch.manual_seed(0)  # a node may draw from the global generator

    deviation = DEVIATIONS.get(case.id)
    if deviation is not None and deviation.succeeds:
        assert call(case.node, inputs).values
        return
    if deviation is not None or case.error is not None:
        with pytest.raises(Exception):  # noqa: B017 (the reference's types and wording are incidental)
            call(case.node, inputs)
        return

    output = call(case.node, inputs)

    atol, _ = TOLERANCE.get(case.id, (0.0, ""))
    values = list(output.values)
    if case.node in MORE_OUTPUTS:
        values = values[: len(case.outputs)]
    assert list(VECTORS.differences(values, {"list": case.outputs}, atol=atol)) == []
    if case.ui_text is not None:
        assert output.ui is not None
        assert list(output.ui["text"]) == case.ui_text
    after = list(_tensors(inputs))
    assert all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(before, after, strict=True)), (
        "an input was changed, which other nodes may use"
    )


def test_only_missing_nodes_are_skipped() -> None:
    assert sorted(NOT_YET & NODES.keys()) == []
    assert sorted({node for case in VECTORS.cases for node in case.nodes} - NODES.keys() - NOT_YET) == []


def test_exceptions_name_real_cases() -> None:
    assert (TOLERANCE.keys() | DEVIATIONS.keys()) <= {case.id for case in VECTORS.cases}


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _tensors(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _tensors(inner)
