"""The node that resizes an image or a mask in one of eight ways."""

from collections.abc import Mapping
from typing import Any

import torch

from safelight.nodes.image.resampling import CROPS, METHODS, resize, resize_mask
from safelight.nodes.image.scaling import MAX_SIZE, factor_to_megapixels, fill_in, with_longer_side, with_shorter_side
from safelight.sdk import Node, NodeOutput, Schema, io


class ResizeImageMaskNode(Node):
    """Resize an image or a mask: by a factor, to a width and height, to the length of one side, to a number of
    megapixels, or to the size of another image or mask."""

    @classmethod
    def define_schema(cls) -> Schema:
        kind = io.Template("input_type", [io.Image, io.Mask])
        return Schema(
            node_id="ResizeImageMaskNode",
            display_name="Resize Image/Mask",
            category="transform",
            inputs=[
                io.MatchType.Input("input", kind),
                io.DynamicCombo.Input(
                    "resize_type",
                    [
                        io.Option(
                            "scale by multiplier",
                            [io.Float.Input("multiplier", default=1.0, min=0.01, max=8.0, step=0.01)],
                        ),
                        io.Option("scale dimensions", [_side("width"), _side("height"), _crop()]),
                        io.Option("scale longer dimension", [_side("longer_size")]),
                        io.Option("scale shorter dimension", [_side("shorter_size")]),
                        io.Option("scale width", [_side("width")]),
                        io.Option("scale height", [_side("height")]),
                        io.Option(
                            "scale total pixels",
                            [io.Float.Input("megapixels", default=1.0, min=0.01, max=16.0, step=0.01)],
                        ),
                        io.Option("match size", [io.MultiType.Input("match", [io.Image, io.Mask]), _crop()]),
                    ],
                ),
                io.Combo.Input("scale_method", METHODS, default="area"),
            ],
            outputs=[io.MatchType.Output(kind, display_name="resized")],
        )

    @classmethod
    def execute(cls, input: torch.Tensor, resize_type: Mapping[str, Any], scale_method: str) -> NodeOutput:
        size = new_size(input.shape[2], input.shape[1], resize_type)
        if size is None:
            return NodeOutput(input)
        resized = (resize if input.ndim == 4 else resize_mask)(
            input, *size, method=scale_method, crop=resize_type.get("crop", "disabled")
        )
        return NodeOutput(resized)


def new_size(width: int, height: int, resize_type: Mapping[str, Any]) -> tuple[int, int] | None:
    """The new width and height; ``None`` leaves the image unchanged."""
    match resize_type["resize_type"]:
        case "scale by multiplier":
            factor = resize_type["multiplier"]
            return round(width * factor), round(height * factor)
        case "scale dimensions":
            requested = resize_type["width"], resize_type["height"]
            return None if requested == (0, 0) else fill_in(*requested, old_width=width, old_height=height)
        case "scale longer dimension":
            return with_longer_side(width, height, resize_type["longer_size"])
        case "scale shorter dimension":
            return with_shorter_side(width, height, resize_type["shorter_size"])
        case "scale width":
            requested = resize_type["width"], 0
            return None if requested == (0, 0) else fill_in(*requested, old_width=width, old_height=height)
        case "scale height":
            requested = 0, resize_type["height"]
            return None if requested == (0, 0) else fill_in(*requested, old_width=width, old_height=height)
        case "scale total pixels":
            factor = factor_to_megapixels(width, height, resize_type["megapixels"])
            return round(width * factor), round(height * factor)
        case "match size":
            match_height, match_width = resize_type["match"].shape[1:3]
            return match_width, match_height
        case unknown:
            raise ValueError(f"unknown resize_type {unknown!r}")


def _side(name: str) -> io.Input:
    return io.Int.Input(name, default=512, min=0, max=MAX_SIZE, step=1)


def _crop() -> io.Input:
    return io.Combo.Input("crop", CROPS, default="center")
