"""The node that crops to the rectangle drawn on an image."""

from typing import TypedDict

import torch

from safelight.nodes.image.geometry import crop
from safelight.sdk import Node, NodeOutput, Schema, io


class Box(TypedDict):
    """The value of type ``BOUNDING_BOX``, in pixels from the upper left corner."""

    x: int
    y: int
    width: int
    height: int


class ImageCropV2(Node):
    """Crop an image to the rectangle drawn on it. Parts outside the image are ignored, but at least one pixel
    remains."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ImageCropV2",
            display_name="Crop Image",
            category="image/transform",
            essentials_category="Image Tools",
            search_aliases=["trim", "cut region"],
            inputs=[
                io.Image.Input("image"),
                io.BoundingBox.Input("crop_region", component="ImageCrop"),
            ],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, image: torch.Tensor, crop_region: Box) -> NodeOutput:
        region = {side: max(int(crop_region[side]), 0) for side in ("x", "y")}
        size = {side: max(int(crop_region[side]), 1) for side in ("width", "height")}
        return NodeOutput(crop(image, **region, **size))
