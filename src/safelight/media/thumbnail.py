"""Render stored images for ``/api/view``: one channel, a smaller file, a thumbnail. Pillow only, no numpy.

Decoding takes 10 to 1000 ms on untrusted bytes: call it in a thread, with limited concurrency.
"""

import io
from dataclasses import dataclass
from enum import StrEnum

from PIL import Image, ImageOps

from safelight.media.image_header import Source, open_image

MAX_RENDERED_PIXELS = 100_000_000
MIN_SIDE, MAX_SIDE = 64, 1024


class Channel(StrEnum):
    RGB = "rgb"
    ALPHA = "a"
    RGBA = "rgba"


@dataclass(frozen=True, slots=True)
class Rendered:
    body: bytes
    mime_type: str


def render_channel(source: Source, *, channel: Channel, max_pixels: int = MAX_RENDERED_PIXELS) -> Rendered:
    """``RGB``: the colors without alpha. ``ALPHA``: black with the image's alpha, which mask editors use. All as PNG,
    including ``RGBA``."""
    with open_image(source, max_pixels=max_pixels) as image:
        return _encoded(_channel(ImageOps.exif_transpose(image), channel), "png")


def render_preview(
    source: Source,
    *,
    format: str = "webp",
    quality: int = 90,
    channel: Channel = Channel.RGBA,
    max_pixels: int = MAX_RENDERED_PIXELS,
) -> Rendered:
    """``format`` is ``webp`` or ``jpeg``. JPEG has no alpha, so a channel with alpha becomes WebP."""
    with open_image(source, max_pixels=max_pixels) as image:
        return _encoded(_channel(ImageOps.exif_transpose(image), channel), format, quality=quality)


def parse_preview(text: str, *, channel: str | None = None) -> tuple[str, int]:
    """Parse ComfyUI's ``webp;90`` into format and quality. Any other format is WebP, and so is JPEG if a channel with
    alpha is requested; a quality that is not a number in 1..100 is 90."""
    format, _, quality = text.partition(";")
    if format != "jpeg" or "a" in (channel or ""):
        format = "webp"
    return format, int(quality) if quality.isdecimal() and 1 <= int(quality) <= 100 else 90


def render_thumbnail(
    source: Source, *, side: int, quality: int = 85, max_pixels: int = MAX_RENDERED_PIXELS
) -> Rendered:
    """A JPEG that fits in ``side`` x ``side`` pixels and is never larger than the image; transparent parts are
    white."""
    if not MIN_SIDE <= side <= MAX_SIDE:
        raise ValueError(f"invalid thumbnail side {side}: use {MIN_SIDE} to {MAX_SIDE} pixels")
    with open_image(source, max_pixels=max_pixels) as image:
        image.draft("RGB", (side * 2, side * 2))  # the JPEG decoder scales while decoding: 10 times faster
        upright = ImageOps.exif_transpose(image)
        upright = _flattened(upright)
        upright.thumbnail((side, side), Image.Resampling.LANCZOS)
        return _encoded(upright, "jpeg", quality=quality)


def _channel(image: Image.Image, channel: Channel) -> Image.Image:
    image = _eight_bit(image)
    if channel is Channel.RGB:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    if channel is Channel.ALPHA:
        black = Image.new("RGBA", rgba.size)
        black.putalpha(rgba.getchannel("A"))
        return black
    return rgba if image.has_transparency_data else image.convert("RGB")


def _flattened(image: Image.Image) -> Image.Image:
    image = _eight_bit(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")


def _eight_bit(image: Image.Image) -> Image.Image:
    """Convert 16-bit gray to 8 bits; Pillow's own conversion would clip at 255."""
    if not image.mode.startswith("I"):
        return image
    return image.convert("I").point(lambda value: value * (1 / 257)).convert("L")


def _encoded(image: Image.Image, format: str, *, quality: int = 90) -> Rendered:
    body = io.BytesIO()
    if format == "jpeg":
        image.convert("RGB").save(body, format="JPEG", quality=quality)
    elif format == "webp":
        image.save(body, format="WEBP", quality=quality)
    else:
        image.save(body, format="PNG", compress_level=1)
    return Rendered(body.getvalue(), f"image/{format}")
