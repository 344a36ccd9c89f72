"""Nodes that change the outline of a mask: growing, feathering, combining with another."""

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)

from safelight.nodes.image.scaling import MAX_SIZE
from safelight.sdk import Node, NodeOutput, Schema, io


class GrowMask(Node):
    """Grow a mask by a number of pixels, or shrink it if the number is negative. With "tapered_corners" it grows only
    horizontally and vertically, pixel by pixel, so that corners are beveled."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="GrowMask",
            display_name="Grow Mask",
            category="mask",
            inputs=[
                io.Mask.Input("mask"),
                io.Int.Input("expand", default=0, min=-MAX_SIZE, max=MAX_SIZE, step=1),
                io.Boolean.Input("tapered_corners", default=True),
            ],
            outputs=[io.Mask.Output()],
        )

    @classmethod
    def execute(cls, mask: torch.Tensor, expand: int, tapered_corners: bool) -> NodeOutput:
        return NodeOutput(grow_or_shrink(mask.reshape(-1, *mask.shape[-2:]), expand, tapered_corners=tapered_corners))


def grow_or_shrink(mask: torch.Tensor, pixels: int, *, tapered_corners: bool) -> torch.Tensor:
    """``[B, H, W]``: replace each pixel by the maximum (the minimum if ``pixels`` is negative) within the distance."""
    return _grow(mask, pixels, tapered_corners) if pixels >= 0 else -_grow(-mask, -pixels, tapered_corners)


def _grow(mask: torch.Tensor, pixels: int, tapered_corners: bool) -> torch.Tensor:
    pixels = min(pixels, mask.shape[-2] + mask.shape[-1])  # then the maximum has reached every corner
    if not tapered_corners:
        rows = F.max_pool2d(mask, (1, 2 * pixels + 1), stride=1, padding=(0, pixels))
        return F.max_pool2d(rows, (2 * pixels + 1, 1), stride=1, padding=(pixels, 0))
    for _ in range(pixels):
        across = F.max_pool2d(mask, (1, 3), stride=1, padding=(0, 1))
        down = F.max_pool2d(mask, (3, 1), stride=1, padding=(1, 0))
        mask = torch.maximum(across, down)
    return mask


class FeatherMask(Node):
    """Fade a mask out towards its borders, over a number of pixels at each side."""

    @classmethod
    def define_schema(cls) -> Schema:
        sides = ("left", "top", "right", "bottom")
        return Schema(
            node_id="FeatherMask",
            category="mask",
            inputs=[
                io.Mask.Input("mask"),
                *(io.Int.Input(side, default=0, min=0, max=MAX_SIZE, step=1) for side in sides),
            ],
            outputs=[io.Mask.Output()],
        )

    @classmethod
    def execute(cls, mask: torch.Tensor, left: int, top: int, right: int, bottom: int) -> NodeOutput:
        mask = mask.reshape(-1, *mask.shape[-2:])
        height, width = mask.shape[-2:]
        mask = mask * _rising(width, left) * _falling(width, right)
        return NodeOutput(mask * _rising(height, top)[:, None] * _falling(height, bottom)[:, None])


def _rising(length: int, pixels: int) -> torch.Tensor:
    """Factors from near 0 to 1 over the first ``pixels`` of ``length``."""
    steps = torch.arange(1, length + 1, dtype=torch.float64)
    return (steps / max(1, min(pixels, length))).clamp(max=1.0).float()


def _falling(length: int, pixels: int) -> torch.Tensor:
    """Factors from 1 to near 0 at the end. As in ComfyUI they are shifted by one, so that the smallest factor is on the
    first pixel instead of the last."""
    return _rising(length, pixels).flip(0).roll(1)


Combine = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class MaskComposite(Node):
    """Combine a mask with another, whose corner is placed at a position of the first. Parts outside are ignored."""

    OPERATIONS: dict[str, Combine] = {  # noqa: RUF012
        "multiply": lambda below, above: below * above,
        "add": lambda below, above: below + above,
        "subtract": lambda below, above: below - above,
        "and": lambda below, above: torch.bitwise_and(below.round().bool(), above.round().bool()).float(),
        "or": lambda below, above: torch.bitwise_or(below.round().bool(), above.round().bool()).float(),
        "xor": lambda below, above: torch.bitwise_xor(below.round().bool(), above.round().bool()).float(),
    }

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="MaskComposite",
            category="mask",
            inputs=[
                io.Mask.Input("destination"),
                io.Mask.Input("source"),
                io.Int.Input("x", default=0, min=0, max=MAX_SIZE, step=1),
                io.Int.Input("y", default=0, min=0, max=MAX_SIZE, step=1),
                io.Combo.Input("operation", list(cls.OPERATIONS)),
            ],
            outputs=[io.Mask.Output()],
        )

    @classmethod
    def execute(cls, destination: torch.Tensor, source: torch.Tensor, x: int, y: int, operation: str) -> NodeOutput:
        if operation not in cls.OPERATIONS:
            raise ValueError(f"unknown operation {operation!r}: choose one of {', '.join(cls.OPERATIONS)}")
        result = destination.reshape(-1, *destination.shape[-2:]).clone()
        source = source.reshape(-1, *source.shape[-2:]).to(result.device)
        below = result[:, y : y + source.shape[1], x : x + source.shape[2]]
        below.copy_(cls.OPERATIONS[operation](below, source[:, : below.shape[1], : below.shape[2]]))
        return NodeOutput(result.clamp(0.0, 1.0))
