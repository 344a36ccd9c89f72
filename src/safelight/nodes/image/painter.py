"""The node with a canvas to paint on."""

import torch

from safelight.media.image import decode_image
from safelight.nodes.files.input_file import input_file
from safelight.nodes.image.color import Color, parse_color
from safelight.nodes.image.resampling import resize, resize_mask
from safelight.sdk import Node, NodeOutput, Schema, io


class Painter(Node):
    """Paint on an image, or on a canvas of one color. Outputs the painted image and a mask of the strokes."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="Painter",
            display_name="Painter",
            category="image",
            search_aliases=["draw", "canvas", "brush"],
            inputs=[
                io.Image.Input("image", optional=True, tooltip="The image to paint on."),
                io.String.Input(
                    "mask", default="", socketless=True, extra={"widgetType": "PAINTER", "image_upload": True}
                ),
                io.Int.Input("width", default=512, min=64, max=4096, step=64, socketless=True, hidden=True),
                io.Int.Input("height", default=512, min=64, max=4096, step=64, socketless=True, hidden=True),
                Color.Input("bg_color", default="#000000"),
            ],
            outputs=[io.Image.Output("IMAGE"), io.Mask.Output("MASK")],
        )

    @classmethod
    def execute(
        cls, mask: str, width: int, height: int, bg_color: str = "#000000", image: torch.Tensor | None = None
    ) -> NodeOutput:
        if image is None:
            image = (torch.tensor(parse_color(bg_color)[:3]) / 255).expand(1, height, width, 3)
        if not mask:
            return NodeOutput(image, torch.zeros(image.shape[:3]))
        strokes, opacity = _read(mask, image.shape[2], image.shape[1])
        painted = strokes * opacity.unsqueeze(-1) + image[..., :3] * (1.0 - opacity.unsqueeze(-1))
        return NodeOutput(painted, opacity.expand(image.shape[:3]))


def _read(name: str, width: int, height: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The painted strokes and their opacity, in the size of the canvas."""
    with input_file(name) as path:
        picture = decode_image(path)
    strokes = resize(torch.from_numpy(picture.frames[:1]), width, height, method="bilinear")
    if picture.alpha is None:
        return strokes, torch.ones(1, height, width)
    return strokes, resize_mask(torch.from_numpy(picture.alpha[:1]), width, height, method="bilinear")
