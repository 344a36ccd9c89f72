"""Nodes that prepare images for training one by one: levels, crops and sizes."""

from collections.abc import Callable

import torch
from PIL import Image

from safelight.nodes.dataset.random_state import random_state
from safelight.nodes.image.resampling import from_pil, to_pil
from safelight.sdk import Node, NodeOutput, Schema, io

MAX_SIDE = 8192


def _schema(node_id: str, display_name: str, *inputs: io.Input) -> Schema:
    return Schema(
        node_id=node_id,
        display_name=display_name,
        category="dataset/image",
        is_experimental=True,
        inputs=[io.Image.Input("images"), *inputs],
        outputs=[io.Image.Output(display_name="images")],
    )


class NormalizeImages(Node):
    """Subtract a mean from images and divide them by a standard deviation."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _schema(
            "NormalizeImages",
            "Normalize Images",
            io.Float.Input("mean", default=0.5, min=0.0, max=1.0),
            io.Float.Input("std", default=0.5, min=0.001, max=1.0),
        )

    @classmethod
    def execute(cls, images: torch.Tensor, mean: float, std: float) -> NodeOutput:
        return NodeOutput((images - mean) / std)


class AdjustBrightness(Node):
    """Multiply the brightness of images."""

    @classmethod
    def define_schema(cls) -> Schema:
        factor = io.Float.Input("factor", default=1.0, min=0.0, max=2.0)
        return _schema("AdjustBrightness", "Adjust Brightness", factor)

    @classmethod
    def execute(cls, images: torch.Tensor, factor: float) -> NodeOutput:
        return NodeOutput((images * factor).clamp(0.0, 1.0))


class AdjustContrast(Node):
    """Stretch or compress the brightness of images around middle gray."""

    @classmethod
    def define_schema(cls) -> Schema:
        factor = io.Float.Input("factor", default=1.0, min=0.0, max=2.0)
        return _schema("AdjustContrast", "Adjust Contrast", factor)

    @classmethod
    def execute(cls, images: torch.Tensor, factor: float) -> NodeOutput:
        return NodeOutput(((images - 0.5) * factor + 0.5).clamp(0.0, 1.0))


class CenterCropImages(Node):
    """Crop images to a width and height around their center. Smaller images stay as they are."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _schema("CenterCropImages", "Center Crop Images", *_size())

    @classmethod
    def execute(cls, images: torch.Tensor, width: int, height: int) -> NodeOutput:
        left, top = max(0, (images.shape[2] - width) // 2), max(0, (images.shape[1] - height) // 2)
        return NodeOutput(_in_8_bits(images)[:, top : top + height, left : left + width])


class RandomCropImages(Node):
    """Crop images to a width and height at a random position. Smaller images stay as they are."""

    @classmethod
    def define_schema(cls) -> Schema:
        seed = io.Int.Input("seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF)
        return _schema("RandomCropImages", "Random Crop Images", *_size(), seed)

    @classmethod
    def execute(cls, images: torch.Tensor, width: int, height: int, seed: int) -> NodeOutput:
        random = random_state(seed)
        left = random.randint(0, max(0, images.shape[2] - width) + 1)
        top = random.randint(0, max(0, images.shape[1] - height) + 1)
        return NodeOutput(_in_8_bits(images)[:, top : top + height, left : left + width])


class ResizeImagesByShorterEdge(Node):
    """Scale images so that their shorter side has the given length, keeping the aspect ratio."""

    @classmethod
    def define_schema(cls) -> Schema:
        edge = io.Int.Input("shorter_edge", default=512, min=1, max=MAX_SIDE)
        return _schema("ResizeImagesByShorterEdge", "Resize Images by Shorter Edge", edge)

    @classmethod
    def execute(cls, images: torch.Tensor, shorter_edge: int) -> NodeOutput:
        return NodeOutput(_scale_edge(images, shorter_edge, shorter=True))


class ResizeImagesByLongerEdge(Node):
    """Scale images so that their longer side has the given length, keeping the aspect ratio."""

    @classmethod
    def define_schema(cls) -> Schema:
        edge = io.Int.Input("longer_edge", default=1024, min=1, max=MAX_SIDE)
        return _schema("ResizeImagesByLongerEdge", "Resize Images by Longer Edge", edge)

    @classmethod
    def execute(cls, images: torch.Tensor, longer_edge: int) -> NodeOutput:
        return NodeOutput(_scale_edge(images, longer_edge, shorter=False))


def _size() -> tuple[io.Input, io.Input]:
    return (
        io.Int.Input("width", default=512, min=1, max=MAX_SIDE),
        io.Int.Input("height", default=512, min=1, max=MAX_SIDE),
    )


def _in_8_bits(images: torch.Tensor) -> torch.Tensor:
    """The images as an 8-bit file would store them."""
    return _each(images, lambda image: image)


def _scale_edge(images: torch.Tensor, length: int, *, shorter: bool) -> torch.Tensor:
    height, width = images.shape[1:3]
    if (width < height) == shorter:
        size = length, int(height * (length / width))
    else:
        size = int(width * (length / height)), length
    return _each(images, lambda image: image.resize(size, Image.Resampling.LANCZOS))


def _each(images: torch.Tensor, change: Callable[[Image.Image], Image.Image]) -> torch.Tensor:
    changed = [from_pil(change(to_pil(image))) for image in images]
    return torch.stack([image.reshape(*image.shape[:2], images.shape[-1]) for image in changed])
