"""OpenEXR files with one part, in scan lines: scene-linear light in half or single precision.

The format is the OpenEXR project's "OpenEXR File Layout". Blocks of 16 lines are compressed with zlib, after their
bytes are split into low and high halves and replaced by their differences.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from safelight.media.metadata import NO_METADATA, Metadata

REC_709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)
REC_2020 = (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, 0.3127, 0.3290)
ACES_AP1 = (0.713, 0.293, 0.165, 0.830, 0.128, 0.044, 0.32168, 0.33767)
"""Chromaticities: x and y of red, green, blue and white."""

_NAMES = {1: "Y", 3: "RGB", 4: "RGBA"}
_HALF, _FLOAT = 1, 2
_ZIP, _LINES = 3, 16


def save_exr(
    path: Path,
    values: NDArray[np.float32],
    *,
    half: bool,
    chromaticities: tuple[float, ...] = REC_709,
    metadata: Metadata = NO_METADATA,
) -> None:
    """Save ``[H, W, C]`` of linear light, with C of 1, 3 or 4."""
    height, width, channels = values.shape
    if channels not in _NAMES:
        raise ValueError(f"cannot save an image with {channels} channels: use 1, 3 or 4")
    pixels = _samples(values, half=half)
    header = _header(width, height, _NAMES[channels], half=half, chromaticities=chromaticities, metadata=metadata)
    order = sorted(range(channels), key=lambda c: _NAMES[channels][c])  # channels are stored by name
    blocks = list(_blocks(pixels[:, :, order]))
    offset = len(header) + 8 * len(blocks)
    offsets = []
    for block in blocks:
        offsets.append(offset)
        offset += len(block)
    with path.open("wb") as file:
        file.write(header + struct.pack(f"<{len(offsets)}Q", *offsets))
        file.writelines(blocks)


def srgb_to_linear(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """IEC 61966-2-1, mirrored at zero for negative values."""
    size = np.abs(values)
    linear = np.where(size <= 0.04045, size / 12.92, ((size + 0.055) / 1.055) ** 2.4)
    return (np.sign(values) * linear).astype(np.float32)


def hlg_to_linear(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The inverse of the HLG transfer function of ITU-R BT.2100: scene light in 0..1."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    signal = np.maximum(values, 0)
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12).astype(np.float32)


def _samples(values: NDArray[np.float32], *, half: bool) -> NDArray[np.float16] | NDArray[np.float32]:
    if not half:
        return values.astype("<f4")
    limit = np.finfo(np.float16).max
    return np.clip(values, -limit, limit).astype("<f2")


def _header(
    width: int,
    height: int,
    names: str,
    *,
    half: bool,
    chromaticities: tuple[float, ...],
    metadata: Metadata,
) -> bytes:
    kind = _HALF if half else _FLOAT
    channels = b"".join(n.encode() + b"\0" + struct.pack("<iB3xii", kind, 0, 1, 1) for n in sorted(names)) + b"\0"
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)
    attributes = [
        ("channels", "chlist", channels),
        ("compression", "compression", bytes([_ZIP])),
        ("dataWindow", "box2i", window),
        ("displayWindow", "box2i", window),
        ("lineOrder", "lineOrder", b"\0"),
        ("pixelAspectRatio", "float", struct.pack("<f", 1.0)),
        ("screenWindowCenter", "v2f", struct.pack("<2f", 0.0, 0.0)),
        ("screenWindowWidth", "float", struct.pack("<f", 1.0)),
        ("chromaticities", "chromaticities", struct.pack("<8f", *chromaticities)),
        *((name, "string", text.encode("ascii")) for name, text in metadata.texts().items()),
    ]
    written = b"".join(
        name.encode("latin-1") + b"\0" + type.encode() + b"\0" + struct.pack("<i", len(value)) + value
        for name, type, value in attributes
    )
    return b"\x76\x2f\x31\x01" + struct.pack("<i", 2) + written + b"\0"


def _blocks(pixels: NDArray[np.float16] | NDArray[np.float32]) -> Iterator[bytes]:
    for top in range(0, len(pixels), _LINES):
        lines = pixels[top : top + _LINES]
        raw = np.ascontiguousarray(lines.transpose(0, 2, 1)).view(np.uint8).ravel()  # line by line, channel by channel
        packed = zlib.compress(_differences(raw))
        data = packed if len(packed) < raw.size else raw.tobytes()
        yield struct.pack("<2i", top, len(data)) + data


def _differences(raw: NDArray[np.uint8]) -> bytes:
    split = np.concatenate([raw[0::2], raw[1::2]])
    shifted = split.copy()
    shifted[1:] = split[1:] - split[:-1] + np.uint8(128)  # modulo 256
    return shifted.tobytes()
