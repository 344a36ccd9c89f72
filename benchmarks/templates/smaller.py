"""What a graph is run with instead of its own sizes, so that two cores of a CPU can run it. Nothing else is changed:
the nodes, their links, the models, the samplers and schedules are those of the template.

* ``width`` and ``height`` of new latents and films become at most 128 pixels and multiples of 32, with their ratio;
  targets of scaling (total megapixels, the largest side) become as small;
* ``length`` and its kin become at most 9 frames (1 more than a multiple of 8), durations of sound at most 2 seconds;
* ``steps`` become 2, and where a sampler does a part of them, its first and last step are scaled;
* language models write at most 8 tokens;
* ``FluxKontextImageScale``, which always makes a million pixels, is replaced by ``ImageScale``;
* ``Painter`` gets no strokes: those of a template are files of its author.

Inputs are pictures of 96 x 64 pixels, films of 17 such frames and sounds of 2 seconds.
"""

from collections.abc import Mapping
from typing import Any

SIDE = 128
MULTIPLE = 32
FRAMES = 9
STEPS = 2
TOKENS = 8
SECONDS = 2.0
MEGAPIXELS = 0.016

_FRAMES = frozenset({"length", "frames_number", "num_frames", "video_frames", "frame_count", "duration_frames"})
_SECONDS = frozenset({"seconds", "duration"})
_SIDES = frozenset({"largest_size", "longer_edge", "shorter_edge", "max_size", "target_size"})
_TOKENS = frozenset({"max_length", "max_tokens", "max_new_tokens"})
_SIZED = ("Empty", "ToVideo", "Latent", "Scheduler", "Conditioning", "ImageScale", "TextEncode", "LayoutPrompt")
"""Parts of the names of node types whose ``width`` and ``height`` are those of what is generated."""


_FIXED = frozenset({"FluxKontextImageScale"})
"""Nodes that scale to about a million pixels, whatever is asked; an ``ImageScale`` stands for them."""


def smaller(graph: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The graph with smaller numbers; see the module."""
    return {name: _call(call) for name, call in graph.items()}


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    kind, given = call["class_type"], call["inputs"]
    if kind in _FIXED:
        size = {"width": SIDE, "height": SIDE, "upscale_method": "lanczos", "crop": "center"}
        return {"class_type": "ImageScale", "inputs": {"image": given["image"], **size}}
    return {**call, "inputs": _inputs(kind, given)}


def _inputs(kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(given)
    if kind == "Painter":
        made["mask"] = ""
    if {"width", "height"} <= given.keys() and any(part in kind for part in _SIZED):
        made["width"], made["height"] = _size(given["width"], given["height"])
    steps = given.get("steps")
    if "steps" in given and isinstance(steps, int | list):
        made["steps"] = STEPS
        for part in ("start_at_step", "end_at_step", "last_step"):
            if isinstance(given.get(part), int):
                made[part] = round(given[part] * STEPS / steps) if isinstance(steps, int) else min(given[part], 1)
            elif part in given:
                made[part] = 1
    for key, value in given.items():
        if key in _FRAMES and kind != "ImageFromBatch":
            made[key] = min(value, FRAMES) if isinstance(value, int) else FRAMES
        elif key in _SECONDS and isinstance(value, int | float):
            made[key] = type(value)(min(value, SECONDS))
        elif key in _SIDES and isinstance(value, int | list):
            made[key] = SIDE
        elif key == "megapixels":
            made[key] = MEGAPIXELS
        elif key in _TOKENS:
            made[key] = TOKENS
    return made


def _size(width: Any, height: Any) -> tuple[int, int]:
    if not isinstance(width, int) or not isinstance(height, int) or not width or not height:
        return SIDE, SIDE
    factor = min(1.0, SIDE / max(width, height))
    fitted = [max(MULTIPLE, round(side * factor / MULTIPLE) * MULTIPLE) for side in (width, height)]
    return fitted[0], fitted[1]
