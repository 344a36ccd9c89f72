"""AVIF files: still 8-bit images with metadata, and images with 10 bits, with high dynamic range, or animated."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from safelight.media import metadata as embedded
from safelight.media.image import ByteArray, pil_image
from safelight.media.metadata import NO_METADATA, Metadata


@dataclass(frozen=True, slots=True)
class Colors:
    """Primaries, transfer and matrix as numbers of ITU-T H.273; ``space`` is swscale's name for the matrix."""

    primaries: int
    transfer: int
    matrix: int
    space: Colorspace


SRGB = Colors(1, 13, 1, Colorspace.ITU709)
HLG = Colors(9, 18, 9, Colorspace.BT2020)
PQ = Colors(9, 16, 9, Colorspace.BT2020)


def save_avif(path: Path, pixels: ByteArray, *, crf: int, metadata: Metadata = NO_METADATA) -> None:
    """Save ``[H, W, C]`` with C of 1 or 3, in 8 bits and sRGB; ``crf`` from 1 (best) to 63, as for AV1 encoders."""
    quality = round(100 - crf * 100 / 63)
    pil_image(pixels).save(
        path, format="AVIF", quality=quality, subsampling="4:2:0", exif=embedded.exif(metadata) or b""
    )


def save_deep_avif(
    path: Path,
    frames: Iterable[NDArray[np.float32]],
    *,
    crf: int,
    ten_bits: bool,
    colors: Colors,
    frame_rate: Fraction = Fraction(1),
    loop_count: int = 0,
) -> None:
    """Save ``[H, W, 3]`` in 0..1, already encoded in ``colors``; several frames are an animation. A ``loop_count`` of
    0 repeats it forever. The encoder cannot write metadata."""
    iterator = iter(frames)
    first = next(iterator)
    with av.open(str(path), mode="w", format="avif", options={"loop": str(loop_count)}) as container:
        stream: Any = container.add_stream("libsvtav1", rate=frame_rate, options={"crf": str(crf), "preset": "6"})
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = "yuv420p10le" if ten_bits else "yuv420p"
        codec = stream.codec_context
        codec.color_primaries, codec.color_trc, codec.colorspace = colors.primaries, colors.transfer, colors.matrix
        codec.color_range = ColorRange.JPEG
        for index, pixels in enumerate(chain([first], iterator)):
            frame = _encodable(pixels, stream.pix_fmt, colors)
            frame.pts = index
            frame.time_base = 1 / frame_rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _encodable(values: NDArray[np.float32], pixel_format: str, colors: Colors) -> Any:
    levels = np.rint(np.clip(np.nan_to_num(values, nan=0.0), 0, 1) * 65535).astype(np.uint16)
    source = av.VideoFrame.from_ndarray(np.ascontiguousarray(levels), format="rgb48le")
    frame = source.reformat(
        format=pixel_format,
        dst_colorspace=colors.space,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.JPEG,
    )
    frame.color_range = ColorRange.JPEG
    return frame
