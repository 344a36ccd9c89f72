"""The node that makes an image look like a frame of compressed video, which video models were trained on."""

from io import BytesIO
from typing import Any

import av
import numpy as np
import torch

from safelight.sdk import Node, NodeOutput, Schema, io


class LTXVPreprocess(Node):
    """Add video compression artifacts to images by encoding them as H.264 frames. 0 leaves them unchanged, 100 is the
    worst quality. Odd widths and heights lose one pixel."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LTXVPreprocess",
            category="image",
            inputs=[io.Image.Input("image"), io.Int.Input("img_compression", default=35, min=0, max=100)],
            outputs=[io.Image.Output(display_name="output_image")],
        )

    @classmethod
    def execute(cls, image: torch.Tensor, img_compression: int) -> NodeOutput:
        if img_compression == 0:
            return NodeOutput(image)
        return NodeOutput(torch.stack([_through_video(frame, img_compression) for frame in image]))


def _through_video(image: torch.Tensor, crf: int) -> torch.Tensor:
    """``[H, W, C]`` to ``[H / 2 * 2, W / 2 * 2, 3]``. ``crf`` is x264's constant rate factor."""
    height, width = (length // 2 * 2 for length in image.shape[:2])
    pixels = (image[:height, :width, :3] * 255.0).byte().cpu().numpy()
    file = BytesIO()
    _encode(file, pixels, crf)
    file.seek(0)
    with av.open(file, "r") as container:
        decoded = next(container.decode(video=0)).to_ndarray(format="rgb24")
    return torch.from_numpy(decoded.astype(np.float32) / 255.0).to(image.device, image.dtype)


def _encode(file: BytesIO, pixels: np.ndarray[Any, Any], crf: int) -> None:
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=1, options={"crf": str(crf), "preset": "veryfast"})
        stream.height, stream.width = pixels.shape[:2]
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
