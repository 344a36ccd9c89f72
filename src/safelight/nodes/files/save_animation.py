"""Nodes that save a batch of images as one animated file."""

import torch

from safelight.media.image import save_animated_png, save_webp
from safelight.media.metadata import Metadata
from safelight.nodes.files.pixels import byte_frames
from safelight.sdk import Node, NodeOutput, OutputFile, Schema, current, io, ui

_METHODS = {"default": 4, "fastest": 0, "slowest": 6}


class SaveAnimatedWEBP(Node):
    """Save a batch of images as one animated WebP, with the workflow embedded."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="SaveAnimatedWEBP",
            category="image/animation",
            is_output_node=True,
            inputs=[
                io.Image.Input("images"),
                io.String.Input("filename_prefix", default="ComfyUI", multiline=False),
                io.Float.Input("fps", default=6.0, min=0.01, max=1000.0, step=0.01),
                io.Boolean.Input("lossless", default=True),
                io.Int.Input("quality", default=80, min=0, max=100),
                io.Combo.Input("method", list(_METHODS), multiselect=False),
            ],
            hidden=["PROMPT", "EXTRA_PNGINFO"],
        )

    @classmethod
    def execute(
        cls, images: torch.Tensor, filename_prefix: str, fps: float, lossless: bool, quality: int, method: str
    ) -> NodeOutput:
        file = _one_file(images, filename_prefix, ".webp")
        save_webp(
            file.path,
            list(byte_frames(images)),
            frame_s=1 / fps,
            lossless=lossless,
            quality=quality,
            method=_METHODS[method],
            metadata=Metadata(cls.hidden.prompt, cls.hidden.extra_pnginfo),
        )
        return NodeOutput(ui=ui.Images([file], animated=len(images) != 1))


class SaveAnimatedPNG(Node):
    """Save a batch of images as one animated PNG, with the workflow embedded."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="SaveAnimatedPNG",
            category="image/animation",
            is_output_node=True,
            inputs=[
                io.Image.Input("images"),
                io.String.Input("filename_prefix", default="ComfyUI", multiline=False),
                io.Float.Input("fps", default=6.0, min=0.01, max=1000.0, step=0.01),
                io.Int.Input("compress_level", default=4, min=0, max=9),
            ],
            hidden=["PROMPT", "EXTRA_PNGINFO"],
        )

    @classmethod
    def execute(cls, images: torch.Tensor, filename_prefix: str, fps: float, compress_level: int) -> NodeOutput:
        file = _one_file(images, filename_prefix, ".png")
        save_animated_png(
            file.path,
            list(byte_frames(images)),
            frame_s=1 / fps,
            compress_level=compress_level,
            metadata=Metadata(cls.hidden.prompt, cls.hidden.extra_pnginfo),
        )
        return NodeOutput(ui=ui.Images([file], animated=len(images) != 1))


def _one_file(images: torch.Tensor, prefix: str, extension: str) -> OutputFile:
    height, width = images.shape[1:3]
    return current().open_series(prefix, width=width, height=height).file(0, extension)
