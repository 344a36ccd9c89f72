"""The engine's work grows linearly with the graph: counted in function calls, since times are noisy on a busy
machine."""

import sys
from collections.abc import Callable
from typing import Any

import pytest
from tests.graph.fake_runner import FakeRunner
from tests.graph.nodes import NODES

from safelight.graph.cache import LimitedCache
from safelight.graph.validate import validate

CATALOGUE = {name: node.schema for name, node in NODES.items()}


def chain(length: int) -> dict[str, Any]:
    prompt: dict[str, Any] = {"0": {"class_type": "Load", "inputs": {"name": "x"}}}
    for n in range(1, length - 1):
        prompt[str(n)] = {"class_type": "Invert", "inputs": {"image": [str(n - 1), 0]}}
    return prompt | {"out": {"class_type": "Sink", "inputs": {"value": [str(length - 2), 0]}}}


def fan(length: int) -> dict[str, Any]:
    """One source with many outputs."""
    outputs = {f"o{n}": {"class_type": "Save", "inputs": {"images": ["0", 0]}} for n in range(length - 1)}
    return {"0": {"class_type": "Load", "inputs": {"name": "x"}}} | outputs


def calls_of(work: Callable[[], object]) -> int:
    counted = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return counted


@pytest.mark.parametrize("build", [chain, fan])
@pytest.mark.parametrize("way", ["validate", "first run", "cached rerun"])
def test_ten_times_the_calls_take_ten_times_the_work(build: Callable[[int], dict[str, Any]], way: str) -> None:
    def work(length: int) -> int:
        prompt = build(length)
        targets = [call_id for call_id in prompt if call_id.startswith("o")]
        runner = FakeRunner(NODES, cache=LimitedCache())
        if way == "cached rerun":
            runner.play(prompt, *targets)
        if way == "validate":
            return calls_of(lambda: validate(prompt, CATALOGUE))
        return calls_of(lambda: runner.play(prompt, *targets))

    assert work(2_000) < 11 * work(200)
