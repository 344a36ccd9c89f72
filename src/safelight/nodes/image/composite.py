"""The node that pastes one image onto another, and its arithmetic."""

import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)

from safelight.nodes.image.resampling import repeat_to, with_channels
from safelight.nodes.image.scaling import MAX_SIZE
from safelight.sdk import Node, NodeOutput, Schema, io


class ImageCompositeMasked(Node):
    """Paste an image onto another at a position, through a mask. Parts outside are cropped."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ImageCompositeMasked",
            category="image",
            inputs=[
                io.Image.Input("destination"),
                io.Image.Input("source"),
                io.Int.Input("x", default=0, min=0, max=MAX_SIZE, step=1),
                io.Int.Input("y", default=0, min=0, max=MAX_SIZE, step=1),
                io.Boolean.Input("resize_source", default=False),
                io.Mask.Input("mask", optional=True),
            ],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(
        cls,
        destination: torch.Tensor,
        source: torch.Tensor,
        x: int,
        y: int,
        resize_source: bool,
        mask: torch.Tensor | None = None,
    ) -> NodeOutput:
        channels = destination.shape[-1]
        source = with_channels(source, channels)[..., :channels]
        planes = paste(
            destination.movedim(-1, 1), source.movedim(-1, 1), x=x, y=y, resize_source=resize_source, mask=mask
        )
        return NodeOutput(planes.movedim(1, -1))


def paste(
    destination: torch.Tensor,
    source: torch.Tensor,
    *,
    x: int,
    y: int,
    resize_source: bool = False,
    mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """``source`` on ``destination`` (both ``[B, C, H, W]``) with its corner at ``x, y``; the source's batch is repeated
    or cut to the destination's. ``mask`` (``[B, H, W]``) is scaled to the source. Raises :class:`ValueError` for a
    negative position."""
    if x < 0 or y < 0:
        raise ValueError(f"the position ({x}, {y}) is negative; x and y must be at least 0")
    batch, _, height, width = destination.shape
    if resize_source:
        source = F.interpolate(source, size=(height, width), mode="bilinear")
    source = repeat_to(source, batch).to(destination)
    if mask is None:
        mask = torch.ones_like(source)
    else:
        planes = mask.to(source).reshape(-1, 1, *mask.shape[-2:])
        mask = repeat_to(F.interpolate(planes, size=source.shape[-2:], mode="bilinear"), batch)
    result = destination.clone()
    below = result[..., y : y + source.shape[-2], x : x + source.shape[-1]]
    visible = (..., slice(below.shape[-2]), slice(below.shape[-1]))
    below.copy_(mask[visible] * source[visible] + (1.0 - mask[visible]) * below)
    return result
