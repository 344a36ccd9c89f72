"""PNG with 16 bits per channel, which Pillow cannot write in color. The format is the W3C's PNG specification."""

import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from safelight.media.metadata import NO_METADATA, Metadata

_COLOR_TYPES = {1: 0, 3: 2, 4: 6}
_UP = 2


def save_deep_png(path: Path, values: NDArray[np.float32], *, metadata: Metadata = NO_METADATA) -> None:
    """Save ``[H, W, C]`` in 0..1, with C of 1, 3 or 4; rounded to the nearest of 65,536 levels."""
    height, width, channels = values.shape
    if channels not in _COLOR_TYPES:
        raise ValueError(f"cannot save an image with {channels} channels: use 1, 3 or 4")
    levels = np.rint(np.clip(np.nan_to_num(values, nan=0.0), 0, 1) * 65535).astype(">u2")
    rows = levels.reshape(height, width * channels).view(np.uint8)
    above = np.vstack([np.zeros_like(rows[:1]), rows[:-1]])
    filtered = np.hstack([np.full((height, 1), _UP, dtype=np.uint8), rows - above])  # modulo 256, as filter 2 requires
    header = struct.pack(">IIBBBBB", width, height, 16, _COLOR_TYPES[channels], 0, 0, 0)
    texts = [name.encode("latin-1") + b"\0" + text.encode("ascii") for name, text in metadata.texts().items()]
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header))
        file.writelines(_chunk(b"tEXt", text) for text in texts)
        file.write(_chunk(b"IDAT", zlib.compress(filtered.tobytes(), 4)) + _chunk(b"IEND", b""))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
