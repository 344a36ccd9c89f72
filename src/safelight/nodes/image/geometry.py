"""Nodes that crop, rotate and mirror images."""

import torch

from safelight.nodes.image.scaling import MAX_SIZE
from safelight.sdk import Node, NodeOutput, Schema, io


class ImageCrop(Node):
    """Crop an image to a rectangle. Parts outside the image are ignored, but at least one pixel remains."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ImageCrop",
            display_name="Image Crop",
            category="image/transform",
            inputs=[
                io.Image.Input("image"),
                io.Int.Input("width", default=512, min=1, max=MAX_SIZE, step=1),
                io.Int.Input("height", default=512, min=1, max=MAX_SIZE, step=1),
                io.Int.Input("x", default=0, min=0, max=MAX_SIZE, step=1),
                io.Int.Input("y", default=0, min=0, max=MAX_SIZE, step=1),
            ],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, image: torch.Tensor, width: int, height: int, x: int, y: int) -> NodeOutput:
        return NodeOutput(crop(image, x=x, y=y, width=width, height=height))


class ImageRotate(Node):
    """Rotate an image clockwise by quarter turns."""

    QUARTERS = ("none", "90 degrees", "180 degrees", "270 degrees")

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ImageRotate",
            category="image/transform",
            inputs=[io.Image.Input("image"), io.Combo.Input("rotation", cls.QUARTERS)],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, image: torch.Tensor, rotation: str) -> NodeOutput:
        return NodeOutput(torch.rot90(image, k=cls.QUARTERS.index(rotation), dims=[2, 1]))


class ImageFlip(Node):
    """Flip an image upside down or left to right."""

    DIMENSIONS = {"x-axis: vertically": 1, "y-axis: horizontally": 2}  # noqa: RUF012

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ImageFlip",
            category="image/transform",
            inputs=[io.Image.Input("image"), io.Combo.Input("flip_method", list(cls.DIMENSIONS))],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, image: torch.Tensor, flip_method: str) -> NodeOutput:
        return NodeOutput(torch.flip(image, dims=[cls.DIMENSIONS[flip_method]]))


def crop(image: torch.Tensor, *, x: int, y: int, width: int, height: int) -> torch.Tensor:
    """Crop ``[B, H, W, ...]``; a corner outside the image is moved to its last pixel."""
    y, x = min(y, image.shape[1] - 1), min(x, image.shape[2] - 1)
    return image[:, y : y + height, x : x + width]
