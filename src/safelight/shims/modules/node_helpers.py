"""Conditioning with other values, and Pillow called safely."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from PIL import ImageFile, UnidentifiedImageError

from safelight.shims.modules.comfy.cli_args import args


def conditioning_set_values(
    conditioning: list[Any], values: Mapping[str, Any] | None = None, append: bool = False
) -> list[Any]:
    """A conditioning with options set; with ``append`` lists are added to those that are there."""
    changed = []
    for embedding, options, *_ in conditioning:
        new = dict(options)
        for name, value in (values or {}).items():
            before = new.get(name) if append else None
            new[name] = value if before is None else before + value
        changed.append([embedding, new])
    return changed


def conditioning_set_values_with_timestep_range(
    conditioning: list[Any], values: Mapping[str, Any], start_percent: float = 0.0, end_percent: float = 1.0
) -> list[Any]:
    """With the options set in one part of the steps only."""
    if start_percent > end_percent:
        raise ValueError(f"the range begins at {start_percent} and ends at {end_percent}")
    changed = []
    for embedding, options, *_ in conditioning:
        begin, end = options.get("start_percent", 0.0), options.get("end_percent", 1.0)
        low, high = max(begin, start_percent), min(end, end_percent)
        if high <= low:
            changed.append([embedding, options])
            continue
        if begin < low:
            changed.append([embedding, options | {"start_percent": begin, "end_percent": low}])
        changed.append([embedding, options | {"start_percent": low, "end_percent": high} | dict(values)])
        if high < end:
            changed.append([embedding, options | {"start_percent": high, "end_percent": end}])
    return changed


def pillow(fn: Callable[..., Any], arg: Any) -> Any:
    """``fn(arg)``, again with truncated files allowed where they made it fail."""
    try:
        return fn(arg)
    except (OSError, UnidentifiedImageError, ValueError):
        before = ImageFile.LOAD_TRUNCATED_IMAGES
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        try:
            return fn(arg)
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = before


def hasher() -> Callable[..., Any]:
    return getattr(hashlib, args.default_hashing_function or "sha256", hashlib.sha256)


def string_to_torch_dtype(string: str) -> Any:
    """``None`` for a name that is none of these."""
    import torch

    return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}.get(string)


def image_alpha_fix(destination: Any, source: Any) -> tuple[Any, Any]:
    """Both with as many channels, the destination's; what the destination lacks is opaque."""
    import torch

    if destination.shape[-1] < source.shape[-1]:
        source = source[..., : destination.shape[-1]]
    elif destination.shape[-1] > source.shape[-1]:
        extra = torch.ones((*source.shape[:-1], destination.shape[-1] - source.shape[-1]), dtype=source.dtype)
        source = torch.cat([source, extra.to(source.device)], dim=-1)
    return destination, source
