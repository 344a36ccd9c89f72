"""Nodes that create masks, convert them to images and back, invert, crop and threshold them."""

from collections.abc import Mapping

import torch

from safelight.nodes.image.resampling import resize_mask
from safelight.nodes.image.scaling import MAX_SIZE
from safelight.sdk import Node, NodeOutput, Schema, io


class SolidMask(Node):
    """Create a mask of one value."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="SolidMask",
            category="mask",
            inputs=[
                io.Float.Input("value", default=1.0, min=0.0, max=1.0, step=0.01),
                io.Int.Input("width", default=512, min=1, max=MAX_SIZE, step=1),
                io.Int.Input("height", default=512, min=1, max=MAX_SIZE, step=1),
            ],
            outputs=[io.Mask.Output()],
        )

    @classmethod
    def execute(cls, value: float, width: int, height: int) -> NodeOutput:
        return NodeOutput(torch.full((1, height, width), value))


class ImageToMask(Node):
    """Convert one channel of an image to a mask."""

    CHANNELS = ("red", "green", "blue", "alpha")

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ImageToMask",
            display_name="Convert Image to Mask",
            category="mask",
            inputs=[io.Image.Input("image"), io.Combo.Input("channel", cls.CHANNELS)],
            outputs=[io.Mask.Output()],
        )

    @classmethod
    def execute(cls, image: torch.Tensor, channel: str) -> NodeOutput:
        index = cls.CHANNELS.index(channel)
        if index >= image.shape[-1]:
            raise ValueError(f"the image has no {channel} channel: it has only {image.shape[-1]} channels")
        return NodeOutput(image[..., index])


class ImageColorToMask(Node):
    """Create a mask of the pixels that have exactly the given color (red x 65536 + green x 256 + blue)."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ImageColorToMask",
            category="mask",
            inputs=[
                io.Image.Input("image"),
                io.Int.Input("color", default=0, min=0, max=0xFFFFFF, step=1, display="number"),
            ],
            outputs=[io.Mask.Output()],
        )

    @classmethod
    def execute(cls, image: torch.Tensor, color: int) -> NodeOutput:
        red, green, blue = (image[..., :3].clamp(0, 1.0) * 255.0).round().to(torch.int).unbind(-1)
        return NodeOutput(((red << 16) + (green << 8) + blue == color).float())


class MaskToImage(Node):
    """Convert a mask to a gray image."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="MaskToImage",
            display_name="Convert Mask to Image",
            category="mask",
            inputs=[io.Mask.Input("mask")],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, mask: torch.Tensor) -> NodeOutput:
        planes = mask.reshape(-1, *mask.shape[-2:], 1)
        return NodeOutput(planes.expand(-1, -1, -1, 3))


class InvertMask(Node):
    """Invert a mask."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="InvertMask",
            category="mask",
            inputs=[io.Mask.Input("mask")],
            outputs=[io.Mask.Output()],
        )

    @classmethod
    def execute(cls, mask: torch.Tensor) -> NodeOutput:
        return NodeOutput(1.0 - mask)


class CropMask(Node):
    """Crop a mask to a rectangle. Parts outside the mask are ignored."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="CropMask",
            category="mask",
            inputs=[
                io.Mask.Input("mask"),
                io.Int.Input("x", default=0, min=0, max=MAX_SIZE, step=1),
                io.Int.Input("y", default=0, min=0, max=MAX_SIZE, step=1),
                io.Int.Input("width", default=512, min=1, max=MAX_SIZE, step=1),
                io.Int.Input("height", default=512, min=1, max=MAX_SIZE, step=1),
            ],
            outputs=[io.Mask.Output()],
        )

    @classmethod
    def execute(cls, mask: torch.Tensor, x: int, y: int, width: int, height: int) -> NodeOutput:
        mask = mask.reshape(-1, *mask.shape[-2:])
        return NodeOutput(mask[:, y : y + height, x : x + width])


class ThresholdMask(Node):
    """Make a mask black and white: white where it is above the value."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ThresholdMask",
            category="mask",
            inputs=[
                io.Mask.Input("mask"),
                io.Float.Input("value", default=0.5, min=0.0, max=1.0, step=0.01),
            ],
            outputs=[io.Mask.Output()],
        )

    @classmethod
    def execute(cls, mask: torch.Tensor, value: float) -> NodeOutput:
        return NodeOutput((mask > value).float())


class BatchMasksNode(Node):
    """Combine masks into one batch. All are scaled to the size of the first and cropped to its aspect ratio."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="BatchMasksNode",
            display_name="Batch Masks",
            category="mask",
            inputs=[io.Autogrow.Input("masks", io.Mask.Input("mask"), prefix="mask", min=2, max=50)],
            outputs=[io.Mask.Output()],
        )

    @classmethod
    def execute(cls, masks: Mapping[str, torch.Tensor]) -> NodeOutput:
        batches = [mask.reshape(-1, *mask.shape[-2:]) for mask in masks.values()]
        height, width = batches[0].shape[1:]
        alike = [
            mask
            if mask.shape[1:] == (height, width)
            else resize_mask(mask, width, height, method="bilinear", crop="center")
            for mask in batches
        ]
        return NodeOutput(torch.cat(alike))
