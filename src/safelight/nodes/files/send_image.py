"""Images for programs: sent through the WebSocket of the job's client, and not stored."""

import io as streams
import math

import torch
from PIL import Image

from safelight.nodes.files.pixels import byte_frames
from safelight.sdk import Node, NodeOutput, Schema, current, io


class SaveImageWebsocket(Node):
    """Send full-size images through the WebSocket, as PNG in binary frames like those of previews. Nothing is saved,
    and the images carry no metadata."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="SaveImageWebsocket",
            category="api/image",
            listed_combos=True,
            is_output_node=True,
            inputs=[io.Image.Input("images")],
        )

    @classmethod
    def fingerprint_inputs(cls, images: torch.Tensor) -> float:
        return math.nan  # never cached: images are sent every time

    @classmethod
    def execute(cls, images: torch.Tensor) -> NodeOutput:
        run = current()
        for number, pixels in enumerate(byte_frames(images)):
            run.raise_if_cancelled()
            png = streams.BytesIO()
            Image.fromarray(pixels).save(png, format="PNG", compress_level=1)
            run.send_image(png.getvalue(), "image/png")
            run.progress(number + 1, len(images))
        return NodeOutput()
