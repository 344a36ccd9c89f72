"""Images: files to arrays in 0..1, and arrays to files. Knows no torch and no node."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, ImageSequence

from safelight.media import metadata as embedded
from safelight.media.image_header import MAX_PIXELS, Source, open_image
from safelight.media.media_errors import MediaTooLarge, UnreadableMedia
from safelight.media.metadata import NO_METADATA, Metadata

MAX_TOTAL_PIXELS = 2**29
"""Pixels of all frames of a file: 6 GiB as float32 RGB."""

FloatArray = NDArray[np.float32]
ByteArray = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class DecodedImage:
    """``frames``: ``[B, H, W, 3]`` in 0..1, upright; ``alpha``: ``[B, H, W]``, 1 is opaque, ``None`` without alpha."""

    frames: FloatArray
    alpha: FloatArray | None


def decode_image(
    source: Source, *, max_pixels: int = MAX_PIXELS, max_total_pixels: int = MAX_TOTAL_PIXELS
) -> DecodedImage:
    """Decode every frame of an image, rotated by its EXIF orientation. Frames of another size than the first are
    dropped, and so are the further views of a stereo JPEG (MPO).

    Raises :class:`UnreadableMedia` and, before any pixel is decoded, :class:`MediaTooLarge`."""
    colors: list[FloatArray] = []
    alphas: list[FloatArray | None] = []
    with open_image(source, max_pixels=max_pixels) as image:
        count = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
        if image.width * image.height * count > max_total_pixels:
            raise MediaTooLarge(
                f"{count} frames of {image.width} x {image.height} pixels are more than {max_total_pixels:,} pixels"
            )
        size = image.size
        for frame in islice(ImageSequence.Iterator(image), count):
            if frame.size != size:  # not decoded either: its size was not checked
                continue
            upright = ImageOps.exif_transpose(frame)
            color = _color(upright)
            if not colors or color.shape == colors[0].shape:
                colors.append(color)
                alphas.append(_alpha(upright))
    if not colors:
        raise UnreadableMedia("the image has no frames")
    return DecodedImage(np.stack(colors), _stack_alphas(alphas, colors[0].shape))


def to_uint8(values: FloatArray) -> ByteArray:
    """ComfyUI's rule for saving: 255 x, clipped, truncated rather than rounded. NaN becomes 0."""
    scaled: FloatArray = np.nan_to_num(values * np.float32(255), nan=0.0, posinf=255.0, neginf=0.0)
    clipped: FloatArray = np.clip(scaled, 0, 255)
    return clipped.astype(np.uint8)


def pil_image(pixels: ByteArray) -> Image.Image:
    """``[H, W]`` or ``[H, W, C]`` with C of 1, 3 or 4."""
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.ndim == 3 and pixels.shape[2] not in (3, 4):
        raise ValueError(f"cannot save an image with {pixels.shape[2]} channels: use 1, 3 or 4")
    return Image.fromarray(np.ascontiguousarray(pixels))


def save_png(path: Path, pixels: ByteArray, *, compress_level: int = 4, metadata: Metadata = NO_METADATA) -> None:
    pil_image(pixels).save(path, format="PNG", compress_level=compress_level, pnginfo=embedded.png_text(metadata))


def save_animated_png(
    path: Path,
    frames: Sequence[ByteArray],
    *,
    frame_s: float,
    compress_level: int = 4,
    metadata: Metadata = NO_METADATA,
) -> None:
    first, *rest = [pil_image(f) for f in frames]
    first.save(
        path,
        format="PNG",
        save_all=True,
        append_images=rest,
        duration=int(frame_s * 1000),
        compress_level=compress_level,
        pnginfo=embedded.animated_png_text(metadata),
    )


def save_webp(
    path: Path,
    frames: Sequence[ByteArray],
    *,
    frame_s: float = 0.0,
    lossless: bool = False,
    quality: int = 80,
    method: int = 4,
    metadata: Metadata = NO_METADATA,
) -> None:
    """One frame is a still image. ``method``: 0 (fast) to 6 (small)."""
    first, *rest = [pil_image(f) for f in frames]
    first.save(
        path,
        format="WEBP",
        save_all=bool(rest),
        append_images=rest,
        duration=int(frame_s * 1000),
        loop=0,
        lossless=lossless,
        quality=quality,
        method=method,
        exif=embedded.exif(metadata) or b"",
    )


def _color(image: Image.Image) -> FloatArray:
    if image.mode.startswith("I"):  # 16-bit gray; Pillow's own conversion to RGB would clip it at 255
        gray = np.clip(np.asarray(image, dtype=np.float32) / np.float32(65535), 0, 1)
        return np.repeat(gray[:, :, None], 3, axis=2)
    return np.asarray(image.convert("RGB")).astype(np.float32) / np.float32(255)


def _alpha(image: Image.Image) -> FloatArray | None:
    if image.mode.startswith("I") or not image.has_transparency_data:
        return None
    if "A" not in image.getbands():
        image = image.convert("RGBA")
    return np.asarray(image.getchannel("A")).astype(np.float32) / np.float32(255)


def _stack_alphas(alphas: Sequence[FloatArray | None], shape: tuple[int, ...]) -> FloatArray | None:
    if all(a is None for a in alphas):
        return None
    return np.stack([np.ones(shape[:2], dtype=np.float32) if a is None else a for a in alphas])
