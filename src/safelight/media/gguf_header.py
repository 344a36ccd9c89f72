"""Read the header of a GGUF file, with limits and checks. The format is the ggml project's ``docs/gguf.md``.

Numbers are little-endian: the magic, a version, the number of tensors and of metadata entries; the metadata entries
(name, type, value); then each tensor's name, dimensions, type and offset, counted from the next aligned byte.
"""

import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from safelight.media.media_errors import UnreadableWeights

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MAX_HEADER_BYTES = 100_000_000
MAX_TENSORS = 100_000
MAX_METADATA = 100_000
MAX_DIMENSIONS = 4

_VALUE_FORMATS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _LIST = 8, 9

BLOCKS: Mapping[int, tuple[int, int]] = {
    # a ggml type: (numbers in a block, bytes of a block)
    0: (1, 4),
    1: (1, 2),
    30: (1, 2),
    28: (1, 8),
    24: (1, 1),
    25: (1, 2),
    26: (1, 4),
    27: (1, 8),
    2: (32, 18),
    3: (32, 20),
    6: (32, 22),
    7: (32, 24),
    8: (32, 34),
    9: (32, 36),
    10: (256, 84),
    11: (256, 110),
    12: (256, 144),
    13: (256, 176),
    14: (256, 210),
    15: (256, 292),
}
"""F32, F16, BF16, F64 and the integers; Q4_0 to Q8_1; Q2_K to Q8_K."""


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """``shape`` as stored, the fastest dimension first; ``offset`` from the start of the tensor data."""

    type: int
    shape: tuple[int, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """``metadata`` without entries that are lists: the longest, vocabularies, are not worth the memory."""

    tensors: Mapping[str, GgufTensor]
    metadata: Mapping[str, Any]
    data_start: int


def read(file: BinaryIO, *, name: str, max_bytes: int = MAX_HEADER_BYTES) -> GgufHeader:
    """Read the header of a complete, seekable file. Raises :class:`UnreadableWeights` if it is not a GGUF file, is
    longer than ``max_bytes`` or describes more data than the file has."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    reader = _Reader(file, left=min(size, max_bytes))
    try:
        return _read(reader, size=size)
    except (ValueError, struct.error) as error:
        raise UnreadableWeights(f"invalid header in {name!r}: {error}") from None


class _Reader:
    """Mutable: the number of bytes that may still be read, so that no length in the file can exceed it."""

    def __init__(self, file: BinaryIO, *, left: int) -> None:
        self._file = file
        self._left = left

    def take(self, size: int) -> bytes:
        if size > self._left:
            raise ValueError("truncated, or longer than the limit")
        self._left -= size
        return self._file.read(size)

    def number(self, format: str) -> Any:
        return struct.unpack(f"<{format}", self.take(struct.calcsize(f"<{format}")))[0]

    def text(self) -> str:
        return self.take(self.number("Q")).decode("utf-8")

    @property
    def position(self) -> int:
        return self._file.tell()


def _read(reader: _Reader, *, size: int) -> GgufHeader:
    if reader.take(4) != MAGIC:
        raise ValueError("it does not start with 'GGUF'")
    if (version := reader.number("I")) not in VERSIONS:
        raise ValueError(f"unsupported version {version}")
    tensor_count, metadata_count = reader.number("Q"), reader.number("Q")
    if tensor_count > MAX_TENSORS or metadata_count > MAX_METADATA:
        raise ValueError(f"{tensor_count} tensors and {metadata_count} metadata entries are too many")
    metadata = dict(_metadata_entry(reader) for _ in range(metadata_count))
    tensors = dict(_tensor(reader) for _ in range(tensor_count))
    if len(tensors) != tensor_count:
        raise ValueError("duplicate tensor name")
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment < 1 or alignment % 8:
        raise ValueError(f"invalid alignment {alignment!r}")
    data_start = math.ceil(reader.position / alignment) * alignment
    for tensor in tensors.values():
        if tensor.offset % alignment or data_start + tensor.offset + _bytes_of(tensor) > size:
            raise ValueError("a tensor is misaligned or beyond the end of the file")
    return GgufHeader(tensors, {key: value for key, value in metadata.items() if value is not None}, data_start)


def _metadata_entry(reader: _Reader) -> tuple[str, Any]:
    return reader.text(), _value(reader, reader.number("I"))


def _value(reader: _Reader, kind: int) -> Any:
    if kind == _TEXT:
        return reader.text()
    if kind == _LIST:
        _skip_list(reader)
        return None
    if kind not in _VALUE_FORMATS:
        raise ValueError(f"unknown metadata type {kind}")
    return reader.number(_VALUE_FORMATS[kind])


def _skip_list(reader: _Reader) -> None:
    kind, count = reader.number("I"), reader.number("Q")
    if kind == _TEXT:
        for _ in range(count):
            reader.take(reader.number("Q"))
    elif kind in _VALUE_FORMATS:
        reader.take(count * struct.calcsize(f"<{_VALUE_FORMATS[kind]}"))
    else:
        raise ValueError(f"unknown list type {kind}")


def _tensor(reader: _Reader) -> tuple[str, GgufTensor]:
    name, dimensions = reader.text(), reader.number("I")
    if dimensions > MAX_DIMENSIONS:
        raise ValueError(f"a tensor has {dimensions} dimensions")
    shape = tuple(reader.number("Q") for _ in range(dimensions))
    return name, GgufTensor(reader.number("I"), shape, reader.number("Q"))


def _bytes_of(tensor: GgufTensor) -> int:
    """The tensor's size; at least 1 if the type's packing is unknown to this version."""
    numbers, size = BLOCKS.get(tensor.type, (0, 0))
    if not numbers:
        return 1
    if math.prod(tensor.shape[:1]) % numbers:
        raise ValueError(f"a row of {tensor.shape[0]} numbers is not a whole number of blocks")
    return math.prod(tensor.shape) // numbers * size
