"""Nodes on the colors of a whole image: its histogram, and the transfer of another image's colors."""

from collections.abc import Mapping
from typing import Any

import torch

from safelight.nodes.image.color_transfer import METHODS, transfer
from safelight.sdk import Node, NodeOutput, Schema, io

Histogram = io.Custom("HISTOGRAM")


class ImageHistogram(Node):
    """Count the pixels of the first image at each of 256 levels: for the mean of all colors, for the luminance
    (BT.709), and for each color."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ImageHistogram",
            display_name="Image Histogram",
            category="utils",
            inputs=[io.Image.Input("image")],
            outputs=[Histogram.Output(name) for name in ("rgb", "luminance", "red", "green", "blue")],
        )

    @classmethod
    def execute(cls, image: torch.Tensor) -> NodeOutput:
        pixels = image[0, ..., :3]
        luminance = pixels @ pixels.new_tensor([0.2126, 0.7152, 0.0722])
        return NodeOutput(*map(_levels, (pixels.mean(dim=-1), luminance, *pixels.unbind(-1))))


def _levels(plane: torch.Tensor) -> list[int]:
    levels = (plane * 255).round().clamp(0, 255).long().flatten()
    counts: list[int] = torch.bincount(levels, minlength=256).tolist()
    return counts


class ColorTransfer(Node):
    """Transfer the colors of a reference image to images: by mean and spread in CIELAB (Reinhard), by mean and
    covariance (Monge-Kantorovich), or by the histogram of each channel."""

    @classmethod
    def define_schema(cls) -> Schema:
        frame = io.Int.Input("target_index", default=0, min=0, max=10000)
        statistics = [io.Option("per_frame"), io.Option("uniform"), io.Option("target_frame", [frame])]
        return Schema(
            node_id="ColorTransfer",
            display_name="Transfer Color",
            category="image/postprocessing",
            search_aliases=["color match", "colour grading", "match colors"],
            inputs=[
                io.Image.Input("image_target"),
                io.Image.Input("image_ref", optional=True),
                io.Combo.Input("method", list(METHODS)),
                io.DynamicCombo.Input("source_stats", statistics),
                io.Float.Input("strength", default=1.0, min=0.0, max=10.0, step=0.01),
            ],
            outputs=[io.Image.Output(display_name="image")],
        )

    @classmethod
    def execute(
        cls,
        image_target: torch.Tensor,
        method: str,
        source_stats: Mapping[str, Any],
        strength: float,
        image_ref: torch.Tensor | None = None,
    ) -> NodeOutput:
        if image_ref is None or strength == 0:
            return NodeOutput(image_target)
        colors, reference = image_target[..., :3], image_ref[..., :3].to(image_target)
        changed = []
        for i, frame in enumerate(colors):
            match source_stats["source_stats"]:
                case "per_frame":
                    source, wanted = frame[None], reference[min(i, len(reference) - 1)][None]
                case "uniform":
                    source, wanted = colors, reference
                case "target_frame":
                    source, wanted = colors[min(source_stats["target_index"], len(colors) - 1)][None], reference
                case unknown:
                    raise ValueError(f"unknown source_stats {unknown!r}: choose per_frame, uniform or target_frame")
            moved = transfer(frame, source=source, reference=wanted, method=method)
            changed.append((frame + strength * (moved - frame)).clamp(0, 1))
        return NodeOutput(torch.cat([torch.stack(changed), image_target[..., 3:]], dim=-1))
