"""The measured values of nodes (`nodes/vectors.json`): how a case is read, and how a result is compared with it.

A value is a literal or a dict of one tag: ``{"tensor": key}``, ``{"full": {shape, value}}``, ``{"sampled": {...}}``
(every flat_step-th value of a large tensor), ``{"latent": {...}}``, ``{"conditioning": [{cond, options}]}``,
``{"dict"}``, ``{"list"}``, ``{"tuple"}``, ``{"nested": [tensor]}``, ``{"float": "nan"}``, ``{"noise": {seed, probes}}``
(a noise source, called with each probe's latent), ``{"node_output": {node, index, inputs}}`` (another node's output).
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

FOLDER = Path(__file__).parent / "nodes"

Calls = Callable[[str, dict[str, Any]], tuple[Any, ...]]
"""Calls a node by name with its inputs, and gives its outputs."""


@dataclass(frozen=True)
class Case:
    node: str
    number: str
    inputs: Mapping[str, Any]
    outputs: list[Any]
    error: Mapping[str, str] | None = None
    ui_text: list[str] | None = None

    @property
    def id(self) -> str:
        return f"{self.node}/{self.number}"

    @property
    def nodes(self) -> set[str]:
        """Every node that the case calls."""
        return {self.node, *_made_by(dict(self.inputs))}


class Vectors:
    """All cases, and the tensors that they name."""

    def __init__(self, folder: Path = FOLDER) -> None:
        written = json.loads((folder / "vectors.json").read_text())
        self._tensors = load_file(folder / "vectors.safetensors")
        self.cases = [
            Case(c["node"], c["case"], c["inputs"], c["outputs"], c.get("error"), c.get("ui_text")) for c in written
        ]

    def inputs(self, case: Case, calls: Calls) -> dict[str, Any]:
        """A case's inputs as the node gets them; the tensors are copies, so that no case can change another's."""
        return {name: self._value(value, calls) for name, value in case.inputs.items()}

    def _value(self, value: Any, calls: Calls) -> Any:
        if not isinstance(value, dict):
            return value
        tag = _tag(value)
        inner = value[tag]
        match tag:
            case "tensor":
                return self._tensor(value)
            case "full":
                return torch.full(inner["shape"], inner["value"])
            case "sampled":  # only its size is known
                return torch.zeros(inner["shape"])
            case "latent" | "dict":
                return {k: self._value(v, calls) for k, v in inner.items()}
            case "list":
                return [self._value(v, calls) for v in inner]
            case "tuple":
                return tuple(self._value(v, calls) for v in inner)
            case "conditioning":
                return [
                    [self._value(c["cond"], calls), {k: self._value(v, calls) for k, v in c["options"].items()}]
                    for c in inner
                ]
            case "float":
                return float(inner)
            case "node_output":
                given = {name: self._value(v, calls) for name, v in inner["inputs"].items()}
                return calls(inner["node"], given)[inner["index"]]
        raise ValueError(f"{tag} is not known as an input")

    def _tensor(self, value: Mapping[str, Any]) -> torch.Tensor:
        tensor = self._tensors[value["tensor"]].clone()
        if "shape" in value:
            tensor = tensor.reshape(value["shape"])
        return tensor.to(getattr(torch, value["dtype"])) if "dtype" in value else tensor

    def differences(self, actual: Any, expected: Any, *, atol: float = 0.0, at: str = "") -> Iterator[str]:
        """How ``actual`` differs from ``expected``, line by line; empty if they agree to the last bit (or ``atol``)."""
        if not isinstance(expected, dict):
            if not _same_literal(actual, expected):
                yield f"{at}: {actual!r} is not {expected!r}"
            return
        tag = _tag(expected)
        inner = expected[tag]
        match tag:
            case "tensor":
                yield from _tensor_differences(actual, self._tensor(expected), atol, at)
            case "full":
                yield from _tensor_differences(actual, torch.full(inner["shape"], inner["value"]), atol, at)
            case "sampled":
                if list(actual.shape) != inner["shape"]:
                    yield f"{at}: shape {list(actual.shape)} is not {inner['shape']}"
                    return
                samples = actual.flatten()[:: inner["flat_step"]]
                yield from _tensor_differences(samples, self._tensors[inner["tensor"]], atol, at)
                for name, value in (("mean", actual.mean()), ("min", actual.min()), ("max", actual.max())):
                    if not math.isclose(value.item(), inner[name], rel_tol=1e-6, abs_tol=max(atol, 1e-7)):
                        yield f"{at}: {name} {value.item()} is not {inner[name]}"
            case "latent" | "dict":
                if not isinstance(actual, dict) or actual.keys() != inner.keys():
                    yield f"{at}: keys {list(actual)} are not {list(inner)}"
                    return
                for key, value in inner.items():
                    yield from self.differences(actual[key], value, atol=atol, at=f"{at}.{key}")
            case "list" | "tuple":
                kind = list if tag == "list" else tuple
                if not isinstance(actual, kind):
                    yield f"{at}: {type(actual).__name__} is not a {tag}"
                    return
                yield from self._all(actual, inner, atol, at)
            case "nested":
                yield from self._all(actual.tensors, inner, atol, at)
            case "conditioning":
                pairs = [{"tuple": [c["cond"], {"dict": c["options"]}]} for c in inner]
                yield from self._all([tuple(pair) for pair in actual], pairs, atol, at)
            case "float":
                if not _same_literal(actual, float(inner)):
                    yield f"{at}: {actual!r} is not {inner}"
            case "noise":
                if actual.seed != inner["seed"]:
                    yield f"{at}.seed: {actual.seed} is not {inner['seed']}"
                for i, probe in enumerate(inner["probes"]):
                    noise = actual.generate_noise(self._value(probe["latent"], _no_calls))
                    yield from self.differences(noise, probe["result"], atol=atol, at=f"{at}.probe{i}")
            case _:
                raise ValueError(f"{tag} is not known as an output")

    def _all(self, actual: Any, expected: list[Any], atol: float, at: str) -> Iterator[str]:
        if len(actual) != len(expected):
            yield f"{at}: {len(actual)} values, not {len(expected)}"
            return
        for i, (one, other) in enumerate(zip(actual, expected, strict=True)):
            yield from self.differences(one, other, atol=atol, at=f"{at}[{i}]")


def _tag(value: Mapping[str, Any]) -> str:
    """The tag of a stored value: its only key apart from ``shape`` and ``dtype``, which describe a tensor."""
    (tag,) = set(value) - {"shape", "dtype"}
    return tag


def _made_by(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for inner in value:
            yield from _made_by(inner)
    elif isinstance(value, dict):
        if "node_output" in value:
            yield value["node_output"]["node"]
        for inner in value.values():
            yield from _made_by(inner)


def _no_calls(node: str, inputs: dict[str, Any]) -> tuple[Any, ...]:
    raise ValueError(f"a probe cannot call {node}")


def _same_literal(actual: Any, expected: Any) -> bool:
    if type(actual) is not type(expected):
        return False
    return bool(actual == expected) or (isinstance(actual, float) and math.isnan(actual) and math.isnan(expected))


def _tensor_differences(actual: Any, expected: torch.Tensor, atol: float, at: str) -> Iterator[str]:
    if not isinstance(actual, torch.Tensor):
        yield f"{at}: {type(actual).__name__} is not a tensor"
    elif actual.shape != expected.shape:
        yield f"{at}: shape {list(actual.shape)} is not {list(expected.shape)}"
    elif actual.dtype != expected.dtype:
        yield f"{at}: {actual.dtype} is not {expected.dtype}"
    else:
        unlike = (actual != expected) & ~(actual.isnan() & expected.isnan())
        if atol and actual.dtype != torch.bool:
            unlike &= ~torch.isclose(actual, expected, rtol=0.0, atol=atol)
        if unlike.any():
            by = (actual.double() - expected.double()).abs()[unlike].max().item()
            yield f"{at}: {int(unlike.sum())} of {unlike.numel()} values differ, by up to {by:.3g}"
