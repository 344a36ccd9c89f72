"""Unusual images, as bytes."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    written = io.BytesIO()
    image.save(written, format=format, **options)
    return written.getvalue()


def gradient(width: int = 8, height: int = 6) -> Image.Image:
    """Every pixel has a different color: red grows to the right, green downwards."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return Image.fromarray(np.stack([x * 20, y * 30, np.full_like(x, 7)], axis=2).astype(np.uint8))


def png_of_size(width: int, height: int) -> bytes:
    """A well-formed 1-bit PNG of black pixels, tiny for its size."""
    row = bytes(1 + (width + 7) // 8)
    packer = zlib.compressobj(9)
    body = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def exr_samples(path: Path) -> np.ndarray:
    """``[H, W, C]``, as ffmpeg's own decoder reads them: its planes, without a conversion, which would clip."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    kind = np.dtype("<f2" if "f16" in frame.format.name else "<f4")
    planes = [
        np.frombuffer(plane, dtype=kind).reshape(frame.height, plane.line_size // kind.itemsize)[:, : frame.width]
        for plane in frame.planes
    ]
    order = [2, 0, 1, 3] if len(planes) > 1 else [0]  # stored as green, blue, red, alpha
    return np.stack([planes[i] for i in order[: len(planes)]], axis=2)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
