"""The node that reduces an image's colors, and its ordered dithering."""

import numpy as np
import torch
from PIL import Image

from safelight.nodes.image.resampling import from_pil, to_pil
from safelight.sdk import Node, NodeOutput, Schema, io


class ImageQuantize(Node):
    """Reduce an image to a palette of its own colors, with or without dithering."""

    @classmethod
    def define_schema(cls) -> Schema:
        dithers = ["none", "floyd-steinberg", "bayer-2", "bayer-4", "bayer-8", "bayer-16"]
        return Schema(
            node_id="ImageQuantize",
            category="image/postprocessing",
            inputs=[
                io.Image.Input("image"),
                io.Int.Input("colors", default=256, min=1, max=256, step=1),
                io.Combo.Input("dither", dithers),
            ],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, image: torch.Tensor, colors: int, dither: str) -> NodeOutput:
        return NodeOutput(torch.stack([from_pil(_quantize(to_pil(one[..., :3]), colors, dither)) for one in image]))


def _quantize(image: Image.Image, colors: int, dither: str) -> Image.Image:
    palette = image.quantize(colors=colors)
    if dither.startswith("bayer-"):
        image = _add_bayer(image, int(dither.removeprefix("bayer-")), len(palette.getpalette() or []) // 3)
    method = Image.Dither.FLOYDSTEINBERG if dither == "floyd-steinberg" else Image.Dither.NONE
    return image.quantize(colors=colors, palette=palette, dither=method).convert("RGB")


def _add_bayer(image: Image.Image, size: int, colors: int) -> Image.Image:
    """Add the ordered pattern, with twice the mean distance of ``colors`` levels as its strength."""
    pixels = np.asarray(image).astype(np.float32)
    height, width = pixels.shape[:2]
    pattern = (2 * 256 / colors) * bayer_matrix(size) + 0.5
    tiled = np.tile(pattern, (-(-height // size), -(-width // size)))[:height, :width, None]
    return Image.fromarray(np.clip(pixels + tiled.astype(np.float32), 0, 255).astype(np.uint8))


def bayer_matrix(size: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """The Bayer thresholds of a power of two, in -0.5..0.5 (https://en.wikipedia.org/wiki/Ordered_dithering)."""
    if size == 1:
        return np.zeros((1, 1))
    smaller = 4.0 ** (size.bit_length() - 1) * bayer_matrix(size // 2)
    quarters = [[smaller - 1.5, smaller + 0.5], [smaller + 1.5, smaller - 0.5]]
    return np.block(quarters) / 4.0 ** (size.bit_length() - 1)
