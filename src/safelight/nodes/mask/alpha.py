"""Nodes for alpha channels: splitting, joining, and Porter-Duff composites.

A mask is the opposite of an alpha channel: 1 where the image is transparent.
"""

from collections.abc import Callable

import torch

from safelight.nodes.image.resampling import resize, resize_mask
from safelight.sdk import Node, NodeOutput, Schema, io


class SplitImageWithAlpha(Node):
    """Split an image into its colors and a mask of its transparency."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="SplitImageWithAlpha",
            display_name="Split Image with Alpha",
            category="mask/compositing",
            inputs=[io.Image.Input("image")],
            outputs=[io.Image.Output(), io.Mask.Output()],
        )

    @classmethod
    def execute(cls, image: torch.Tensor) -> NodeOutput:
        alpha = image[..., 3] if image.shape[-1] > 3 else torch.ones_like(image[..., 0])
        return NodeOutput(image[..., :3], 1.0 - alpha)


class JoinImageWithAlpha(Node):
    """Add an alpha channel to an image: it becomes transparent where the mask is 1. The mask is scaled to the image."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="JoinImageWithAlpha",
            display_name="Join Image with Alpha",
            category="mask/compositing",
            inputs=[io.Image.Input("image"), io.Mask.Input("alpha")],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, image: torch.Tensor, alpha: torch.Tensor) -> NodeOutput:
        size = min(len(image), len(alpha))
        opacity = 1.0 - resize_mask(alpha, image.shape[2], image.shape[1], method="bilinear")
        return NodeOutput(torch.cat([image[:size, ..., :3], opacity[:size].unsqueeze(-1)], dim=-1))


Composite = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


def _darken(s: torch.Tensor, sa: torch.Tensor, d: torch.Tensor, da: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return (1 - da) * s + (1 - sa) * d + torch.min(s, d), _union(sa, da)


def _lighten(s: torch.Tensor, sa: torch.Tensor, d: torch.Tensor, da: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return (1 - da) * s + (1 - sa) * d + torch.max(s, d), _union(sa, da)


def _overlay(s: torch.Tensor, sa: torch.Tensor, d: torch.Tensor, da: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.where(2 * d < da, 2 * s * d, sa * da - 2 * (da - s) * (sa - d)), _union(sa, da)


def _union(sa: torch.Tensor, da: torch.Tensor) -> torch.Tensor:
    return sa + da - sa * da


COMPOSITES: dict[str, Composite] = {
    "ADD": lambda s, sa, d, da: ((s + d).clamp(0.0, 1.0), (sa + da).clamp(0.0, 1.0)),
    "CLEAR": lambda s, sa, d, da: (torch.zeros_like(d), torch.zeros_like(da)),
    "DARKEN": _darken,
    "DST": lambda s, sa, d, da: (d, da),
    "DST_ATOP": lambda s, sa, d, da: (sa * d + (1 - da) * s, sa),
    "DST_IN": lambda s, sa, d, da: (d * sa, sa * da),
    "DST_OUT": lambda s, sa, d, da: ((1 - sa) * d, (1 - sa) * da),
    "DST_OVER": lambda s, sa, d, da: (d + (1 - da) * s, da + (1 - da) * sa),
    "LIGHTEN": _lighten,
    "MULTIPLY": lambda s, sa, d, da: (s * d, sa * da),
    "OVERLAY": _overlay,
    "SCREEN": lambda s, sa, d, da: (s + d - s * d, _union(sa, da)),
    "SRC": lambda s, sa, d, da: (s, sa),
    "SRC_ATOP": lambda s, sa, d, da: (da * s + (1 - sa) * d, da),
    "SRC_IN": lambda s, sa, d, da: (s * da, sa * da),
    "SRC_OUT": lambda s, sa, d, da: ((1 - da) * s, (1 - da) * sa),
    "SRC_OVER": lambda s, sa, d, da: (s + (1 - sa) * d, sa + (1 - sa) * da),
    "XOR": lambda s, sa, d, da: ((1 - da) * s + (1 - sa) * d, (1 - da) * sa + (1 - sa) * da),
}
"""Functions of premultiplied color and alpha of the source, then of the destination; they return those of the
composite.

The formulas are Android's, which include more modes than Porter and Duff:
https://developer.android.com/reference/android/graphics/PorterDuff.Mode"""


class PorterDuffImageComposite(Node):
    """Composite an image onto another by one of the Porter-Duff rules. Both have a mask of their transparency. The
    source is scaled to the destination."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="PorterDuffImageComposite",
            display_name="Porter-Duff Image Composite",
            category="mask/compositing",
            inputs=[
                io.Image.Input("source"),
                io.Mask.Input("source_alpha"),
                io.Image.Input("destination"),
                io.Mask.Input("destination_alpha"),
                io.Combo.Input("mode", list(COMPOSITES), default="DST"),
            ],
            outputs=[io.Image.Output(), io.Mask.Output()],
        )

    @classmethod
    def execute(
        cls,
        source: torch.Tensor,
        source_alpha: torch.Tensor,
        destination: torch.Tensor,
        destination_alpha: torch.Tensor,
        mode: str,
    ) -> NodeOutput:
        if mode not in COMPOSITES:
            raise ValueError(f"unknown mode {mode!r}: choose one of {', '.join(COMPOSITES)}")
        size = min(map(len, (source, source_alpha, destination, destination_alpha)))
        height, width = destination.shape[1:3]
        s = resize(source[:size], width, height, method="bicubic", crop="center")
        sa, da = (
            1 - resize_mask(mask[:size], width, height, method="bicubic", crop="center").unsqueeze(-1)
            for mask in (source_alpha, destination_alpha)
        )
        color, alpha = COMPOSITES[mode](s * sa, sa, destination[:size] * da, da)
        color = torch.where(alpha > 1e-5, color / alpha, torch.zeros_like(color))
        return NodeOutput(color.clamp(0, 1), 1.0 - alpha.squeeze(-1))
