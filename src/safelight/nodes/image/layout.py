"""Nodes that place images on a larger canvas: side by side, inside a frame, with a border to paint."""

import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)

from safelight.nodes.image.resampling import resize, with_channels
from safelight.nodes.image.scaling import MAX_SIZE
from safelight.sdk import Node, NodeOutput, Schema, io


class ImageStitch(Node):
    """Join a second image to a side of the first, with an optional strip of color between them. With "match_image_size"
    the second is scaled to fit the common edge; otherwise the smaller one is centered on white or black."""

    COLORS = {  # noqa: RUF012
        "white": (1.0, 1.0, 1.0),
        "black": (0.0, 0.0, 0.0),
        "red": (1.0, 0.0, 0.0),
        "green": (0.0, 1.0, 0.0),
        "blue": (0.0, 0.0, 1.0),
    }

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ImageStitch",
            display_name="Image Stitch",
            category="image/transform",
            inputs=[
                io.Image.Input("image1"),
                io.Combo.Input("direction", ["right", "down", "left", "up"], default="right"),
                io.Boolean.Input("match_image_size", default=True),
                io.Int.Input("spacing_width", default=0, min=0, max=1024, step=2),
                io.Combo.Input("spacing_color", list(cls.COLORS), default="white"),
                io.Image.Input("image2", optional=True),
            ],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(
        cls,
        image1: torch.Tensor,
        direction: str,
        match_image_size: bool,
        spacing_width: int,
        spacing_color: str,
        image2: torch.Tensor | None = None,
    ) -> NodeOutput:
        if image2 is None:
            return NodeOutput(image1)
        along, across = (2, 1) if direction in ("left", "right") else (1, 2)
        image1, image2 = _with_equal_batches(image1, image2)
        if match_image_size:
            image2 = _scale_to_edge(image2, dimension=across, length=image1.shape[across])
        else:
            length = max(image1.shape[across], image2.shape[across])
            padding = 1.0 if spacing_color == "white" else 0.0
            image1, image2 = (_centre(image, across, length, padding) for image in (image1, image2))
        channels = max(image1.shape[-1], image2.shape[-1])
        parts = [with_channels(image, channels) for image in (image1, image2)]
        if direction in ("left", "up"):
            parts.reverse()
        if spacing_width > 0:
            parts.insert(1, cls._strip(parts[0], along, spacing_width + spacing_width % 2, spacing_color))
        return NodeOutput(torch.cat(parts, dim=along))

    @classmethod
    def _strip(cls, beside: torch.Tensor, dimension: int, thickness: int, color: str) -> torch.Tensor:
        shape = list(beside.shape)
        shape[dimension] = thickness
        opaque = torch.tensor([*cls.COLORS[color], 1.0], dtype=beside.dtype, device=beside.device)
        return opaque[: shape[-1]].expand(shape)


class ResizeAndPadImage(Node):
    """Scale an image to fit inside a width and height, and center it on a canvas of exactly that size."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ResizeAndPadImage",
            category="image/transform",
            inputs=[
                io.Image.Input("image"),
                io.Int.Input("target_width", default=512, min=1, max=MAX_SIZE, step=1),
                io.Int.Input("target_height", default=512, min=1, max=MAX_SIZE, step=1),
                io.Combo.Input("padding_color", ["white", "black"]),
                io.Combo.Input("interpolation", ["area", "bicubic", "nearest-exact", "bilinear", "lanczos"]),
            ],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(
        cls, image: torch.Tensor, target_width: int, target_height: int, padding_color: str, interpolation: str
    ) -> NodeOutput:
        batch, old_height, old_width, channels = image.shape
        factor = min(target_width / old_width, target_height / old_height)
        width, height = int(old_width * factor), int(old_height * factor)
        x, y = (target_width - width) // 2, (target_height - height) // 2
        padding = 1.0 if padding_color == "white" else 0.0
        canvas = image.new_full((batch, target_height, target_width, channels), padding)
        canvas[:, y : y + height, x : x + width] = resize(image, width, height, method=interpolation)
        return NodeOutput(canvas)


class ImagePadForOutpaint(Node):
    """Add a gray border to an image, with a mask of what to paint. "feathering" is how many pixels the mask fades into
    the image."""

    @classmethod
    def define_schema(cls) -> Schema:
        sides = [
            io.Int.Input(side, default=0, min=0, max=MAX_SIZE, step=8) for side in ("left", "top", "right", "bottom")
        ]
        return Schema(
            node_id="ImagePadForOutpaint",
            display_name="Pad Image for Outpainting",
            category="image",
            listed_combos=True,
            inputs=[
                io.Image.Input("image"),
                *sides,
                io.Int.Input("feathering", default=40, min=0, max=MAX_SIZE, step=1),
            ],
            outputs=[io.Image.Output(), io.Mask.Output()],
        )

    @classmethod
    def execute(cls, image: torch.Tensor, left: int, top: int, right: int, bottom: int, feathering: int) -> NodeOutput:
        _, height, width, _ = image.shape
        padded = F.pad(image, (0, 0, left, right, top, bottom), value=0.5)
        inner = torch.zeros(height, width)
        if feathering > 0 and feathering * 2 < height and feathering * 2 < width:
            rows, columns = _depth(height, top, bottom), _depth(width, left, right)
            depth = torch.minimum(rows[:, None], columns[None, :])
            inner = (((feathering - depth) / feathering).clamp(min=0.0) ** 2).float()
        mask = F.pad(inner, (left, right, top, bottom), value=1.0)
        return NodeOutput(padded, mask.unsqueeze(0))


def _depth(length: int, before: int, after: int) -> torch.Tensor:
    """The distance of each position from a border that was added before or after; ``length`` if there is none."""
    at = torch.arange(length, dtype=torch.float64)
    far = torch.full_like(at, length)
    return torch.minimum(at if before else far, length - at if after else far)


def _with_equal_batches(one: torch.Tensor, other: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Extend the smaller batch by repeating its last image."""
    size = max(len(one), len(other))

    def grow(batch: torch.Tensor) -> torch.Tensor:
        return torch.cat([batch, batch[-1:].repeat(size - len(batch), 1, 1, 1)])

    return grow(one), grow(other)


def _scale_to_edge(image: torch.Tensor, *, dimension: int, length: int) -> torch.Tensor:
    aspect = image.shape[2] / image.shape[1]
    width, height = (int(length * aspect), length) if dimension == 1 else (length, int(length / aspect))
    return resize(image, width, height, method="lanczos")


def _centre(image: torch.Tensor, dimension: int, length: int, padding: float) -> torch.Tensor:
    missing = length - image.shape[dimension]
    sides = (missing // 2, missing - missing // 2)
    return F.pad(image, (0, 0, *sides) if dimension == 2 else (0, 0, 0, 0, *sides), value=padding)
