"""Nodes that create an image, and that report an image's size."""

import torch

from safelight.nodes.image.scaling import MAX_SIZE
from safelight.nodes.image.size_limit import check_size
from safelight.sdk import Node, NodeOutput, Schema, current, io


class EmptyImage(Node):
    """Create images of one color."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="EmptyImage",
            display_name="EmptyImage",
            category="image",
            listed_combos=True,
            inputs=[
                io.Int.Input("width", default=512, min=1, max=MAX_SIZE, step=1),
                io.Int.Input("height", default=512, min=1, max=MAX_SIZE, step=1),
                io.Int.Input("batch_size", default=1, min=1, max=4096),
                io.Int.Input("color", default=0, min=0, max=0xFFFFFF, step=1, display="color"),
            ],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, width: int, height: int, batch_size: int = 1, color: int = 0) -> NodeOutput:
        check_size((batch_size, height, width, 3))
        rgb = torch.tensor([(color >> shift & 0xFF) / 0xFF for shift in (16, 8, 0)])
        return NodeOutput(rgb.expand(batch_size, height, width, 3).contiguous())


class GetImageSize(Node):
    """Output an image's width, height and batch size, and show them on the node."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="GetImageSize",
            display_name="Get Image Size",
            category="image",
            inputs=[io.Image.Input("image")],
            outputs=[io.Int.Output("width"), io.Int.Output("height"), io.Int.Output("batch_size")],
            hidden=["UNIQUE_ID"],
        )

    @classmethod
    def execute(cls, image: torch.Tensor) -> NodeOutput:
        batch_size, height, width = image.shape[:3]
        if cls.hidden.unique_id is not None:
            current().show_text(f"width: {width}, height: {height}\n batch size: {batch_size}")
        return NodeOutput(width, height, batch_size)
