"""Options of conditioning, and helpers for Pillow."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from PIL import ImageFile, UnidentifiedImageError

from safelight.shims.modules.comfy.cli_args import args


def conditioning_set_values(
    conditioning: list[Any], values: Mapping[str, Any] | None = None, append: bool = False
) -> list[Any]:
    """Return the conditioning with options set; with ``append``, values are added to existing ones."""
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
    """Return the conditioning with the options set for a part of the steps only."""
    if start_percent > end_percent:
        raise ValueError(f"invalid range: it starts at {start_percent} and ends at {end_percent}")
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
    """Return ``fn(arg)``; if it fails, retry with truncated files allowed."""
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
    """Return the type for ``fp32``, ``fp16`` or ``bf16``; ``None`` for any other name."""
    import torch

    return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}.get(string)


def image_alpha_fix(destination: Any, source: Any) -> tuple[Any, Any]:
    """Return both with the same number of channels; an added alpha channel is opaque."""
    import torch

    if destination.shape[-1] < source.shape[-1]:
        source = source[..., : destination.shape[-1]]
    elif destination.shape[-1] > source.shape[-1]:
        extra = torch.ones((*source.shape[:-1], destination.shape[-1] - source.shape[-1]), dtype=source.dtype)
        source = torch.cat([source, extra.to(source.device)], dim=-1)
    return destination, source
