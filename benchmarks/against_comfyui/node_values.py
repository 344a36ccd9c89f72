"""Serialization of nodes' inputs and outputs for the other interpreter: JSON with separate tensors. Needs only
torch."""

import math
from collections.abc import Callable
from typing import Any

import torch

Written = Any


def written(value: Any, tensors: dict[str, torch.Tensor], stand_in: Callable[[Any], Any]) -> Written:
    """Serialize a value. ``stand_in`` returns a serializable value in place of a model, a guider and the like, or the
    value itself, of which only the type is written."""
    if isinstance(value, torch.Tensor):
        key = str(len(tensors))
        tensors[key] = value.detach().contiguous().clone()
        return {"tensor": key}
    if isinstance(value, dict):
        return {"dict": {str(key): written(inner, tensors, stand_in) for key, inner in value.items()}}
    if isinstance(value, list | tuple):
        return {"list": [written(inner, tensors, stand_in) for inner in value]}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or isinstance(value, str | int | float | bool):
        return value
    replacement = stand_in(value)
    if replacement is value:
        return {"other": type(value).__name__}
    return {"told": written(replacement, tensors, stand_in)}


def read(value: Written, models: dict[str, Any]) -> Any:
    """Read an input. Instead of tensors, inputs describe how to generate them: ``{"rand": [seed, shape]}``, ``randn``
    or ``sigmas``."""
    if not isinstance(value, dict):
        return value
    (tag,) = value
    inner = value[tag]
    if tag in ("rand", "randn", "sigmas"):
        seed, shape = inner
        generator = torch.Generator().manual_seed(seed)
        if tag == "sigmas":
            levels = torch.rand(shape, generator=generator).sort(descending=True).values * 14
            return torch.cat([levels, torch.zeros(1)])
        return (torch.rand if tag == "rand" else torch.randn)(shape, generator=generator)
    if tag == "dict":
        return {key: read(one, models) for key, one in inner.items()}
    if tag == "list":
        return [read(one, models) for one in inner]
    if tag == "model":
        return models[inner]
    raise ValueError(tag)


def distance(
    ours: Written, ours_tensors: dict[str, torch.Tensor], theirs: Written, theirs_tensors: dict[str, torch.Tensor]
) -> float | str:
    """Return the largest relative distance of tensors and numbers, or a text if the two have different kinds."""
    if isinstance(ours, dict) and isinstance(theirs, dict) and ours.keys() == theirs.keys():
        (tag,) = ours
        one, other = ours[tag], theirs[tag]
        if tag == "tensor":
            return _tensor_distance(ours_tensors[one], theirs_tensors[other])
        if tag == "other":
            return 0.0
        if tag == "told":
            return distance(one, ours_tensors, other, theirs_tensors)
        if tag == "dict":
            if one.keys() != other.keys():
                return f"keys {sorted(one)} and {sorted(other)}"
            pairs = [(one[key], other[key]) for key in one]
        elif tag == "list":
            if len(one) != len(other):
                return f"{len(one)} and {len(other)} values"
            pairs = list(zip(one, other, strict=True))
        else:
            return 0.0 if one == other else f"{one} and {other}"
        far: float = 0.0
        for left, right in pairs:
            found = distance(left, ours_tensors, right, theirs_tensors)
            if isinstance(found, str):
                return found
            far = max(far, found)
        return far
    if isinstance(ours, int | float) and isinstance(theirs, int | float):
        return abs(ours - theirs) / max(abs(theirs), 1.0)
    return 0.0 if ours == theirs else f"{str(ours)[:80]!r} and {str(theirs)[:80]!r}"


def _tensor_distance(ours: torch.Tensor, theirs: torch.Tensor) -> float | str:
    if ours.shape != theirs.shape:
        return f"shapes {list(ours.shape)} and {list(theirs.shape)}"
    if ours.dtype != theirs.dtype:
        return f"{ours.dtype} and {theirs.dtype}"
    if not ours.numel():
        return 0.0
    one, other = ours.double(), theirs.double()
    if not torch.equal(one.isnan(), other.isnan()):
        return "NaN at different positions"
    far = (one - other).nan_to_num().abs().max()
    return float(far / other.nan_to_num().abs().max().clamp_min(1e-6))


def summary(value: Written, tensors: dict[str, torch.Tensor]) -> Any:
    """Summarize a result in a few numbers: for a tensor its shape, mean, standard deviation and a projection."""
    if not isinstance(value, dict):
        return value
    (tag,) = value
    inner = value[tag]
    if tag == "tensor":
        tensor = tensors[inner]
        wide = tensor.double().nan_to_num()
        line = torch.randn(tensor.shape, generator=torch.Generator().manual_seed(1)).double()
        numbers = [wide.mean(), wide.std(correction=0), (wide * line).mean()] if tensor.numel() else []
        return {"tensor": [list(tensor.shape), *(float(f"{float(number):.5g}") for number in numbers)]}
    if tag == "dict":
        return {"dict": {key: summary(one, tensors) for key, one in inner.items()}}
    if tag == "list":
        return {"list": [summary(one, tensors) for one in inner]}
    return {tag: summary(inner, tensors)}
