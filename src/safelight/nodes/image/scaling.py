"""Nodes that scale an image to a size, by a factor, or to a number of pixels."""

import math

import torch

from safelight.nodes.image.resampling import CROPS, METHODS, resize
from safelight.sdk import Node, NodeOutput, Schema, io

MAX_SIZE = 16384


class ImageScale(Node):
    """Scale an image to a width and height. If one of them is 0, it follows from the other and the aspect ratio; if
    both are 0, the image stays as it is. "center" crops to the new aspect ratio."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ImageScale",
            display_name="Upscale Image",
            category="image/upscaling",
            listed_combos=True,
            inputs=[
                io.Image.Input("image"),
                io.Combo.Input("upscale_method", METHODS),
                io.Int.Input("width", default=512, min=0, max=MAX_SIZE, step=1),
                io.Int.Input("height", default=512, min=0, max=MAX_SIZE, step=1),
                io.Combo.Input("crop", CROPS),
            ],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, image: torch.Tensor, upscale_method: str, width: int, height: int, crop: str) -> NodeOutput:
        if width == 0 and height == 0:
            return NodeOutput(image)
        width, height = fill_in(width, height, old_width=image.shape[2], old_height=image.shape[1])
        return NodeOutput(resize(image, width, height, method=upscale_method, crop=crop))


class ImageScaleBy(Node):
    """Scale an image's width and height by a factor."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ImageScaleBy",
            display_name="Upscale Image By",
            category="image/upscaling",
            listed_combos=True,
            inputs=[
                io.Image.Input("image"),
                io.Combo.Input("upscale_method", METHODS),
                io.Float.Input("scale_by", default=1.0, min=0.01, max=8.0, step=0.01),
            ],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, image: torch.Tensor, upscale_method: str, scale_by: float) -> NodeOutput:
        width, height = round(image.shape[2] * scale_by), round(image.shape[1] * scale_by)
        return NodeOutput(resize(image, width, height, method=upscale_method))


class ImageScaleToTotalPixels(Node):
    """Scale an image to about a number of megapixels (1024 x 1024 pixels each), keeping the aspect ratio. Width and
    height become multiples of "resolution_steps"."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ImageScaleToTotalPixels",
            category="image/upscaling",
            inputs=[
                io.Image.Input("image"),
                io.Combo.Input("upscale_method", METHODS),
                io.Float.Input("megapixels", default=1.0, min=0.01, max=16.0, step=0.01),
                io.Int.Input("resolution_steps", default=1, min=1, max=256),
            ],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(
        cls, image: torch.Tensor, upscale_method: str, megapixels: float, resolution_steps: int = 1
    ) -> NodeOutput:
        old_height, old_width = image.shape[1:3]
        factor = factor_to_megapixels(old_width, old_height, megapixels)
        width = round(old_width * factor / resolution_steps) * resolution_steps
        height = round(old_height * factor / resolution_steps) * resolution_steps
        return NodeOutput(resize(image, width, height, method=upscale_method))


class ImageScaleToMaxDimension(Node):
    """Scale an image so that its longer side has the given length, keeping the aspect ratio."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ImageScaleToMaxDimension",
            category="image/upscaling",
            inputs=[
                io.Image.Input("image"),
                io.Combo.Input(
                    "upscale_method", ["area", "lanczos", "bilinear", "nearest-exact", "bilinear", "bicubic"]
                ),
                io.Int.Input("largest_size", default=512, min=0, max=MAX_SIZE, step=1),
            ],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, image: torch.Tensor, upscale_method: str, largest_size: int) -> NodeOutput:
        width, height = with_longer_side(image.shape[2], image.shape[1], largest_size)
        return NodeOutput(resize(image, width, height, method=upscale_method))


class FluxKontextImageScale(Node):
    """Scale and crop an image to the size with the closest aspect ratio among those that Flux Kontext was trained
    on."""

    SIZES = (
        (672, 1568), (688, 1504), (720, 1456), (752, 1392), (800, 1328), (832, 1248), (880, 1184), (944, 1104),
        (1024, 1024), (1104, 944), (1184, 880), (1248, 832), (1328, 800), (1392, 752), (1456, 720), (1504, 688),
        (1568, 672),
    )  # fmt: skip

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="FluxKontextImageScale",
            category="advanced/conditioning/flux",
            inputs=[io.Image.Input("image")],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, image: torch.Tensor) -> NodeOutput:
        aspect = image.shape[2] / image.shape[1]
        width, height = min(cls.SIZES, key=lambda size: (abs(aspect - size[0] / size[1]), size))
        return NodeOutput(resize(image, width, height, method="lanczos", crop="center"))


def fill_in(width: int, height: int, *, old_width: int, old_height: int) -> tuple[int, int]:
    """Derive a width or height of 0 from the other and the old aspect ratio; at least 1."""
    if width == 0:
        width = max(1, round(old_width * height / old_height))
    elif height == 0:
        height = max(1, round(old_height * width / old_width))
    return width, height


def factor_to_megapixels(width: int, height: int, megapixels: float) -> float:
    return math.sqrt(megapixels * 1024 * 1024 / (width * height))


def with_longer_side(width: int, height: int, length: int) -> tuple[int, int]:
    if height > width:
        return round(width / height * length), length
    if width > height:
        return length, round(height / width * length)
    return length, length


def with_shorter_side(width: int, height: int, length: int) -> tuple[int, int]:
    if height < width:
        return round(width / height * length), length
    if width < height:
        return length, round(height / width * length)
    return length, length
