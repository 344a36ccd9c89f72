"""Read the header of a safetensors file, with limits and checks before anything is mapped or allocated by its numbers.

The format is the safetensors project's README: eight bytes of length, little-endian; JSON with each tensor's type,
shape and offsets; then the bytes of all tensors, without gaps or overlaps.
"""

import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from safelight.media.media_errors import UnreadableWeights

MAX_HEADER_BYTES = 100_000_000
"""The limit of the format's own library."""
MAX_DIMENSIONS = 64

BITS: Mapping[str, int] = {
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "U16": 16,
    "I16": 16,
    "U32": 32,
    "I32": 32,
    "U64": 64,
    "I64": 64,
    "F16": 16,
    "BF16": 16,
    "F32": 32,
    "F64": 64,
    "C64": 64,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
}
"""Bits per number of each type."""

_PREFIX_BYTES = 8


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """``begin`` and ``end`` count from the first byte after the header."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class SafetensorsHeader:
    """``data_start``: the file's first byte after the header."""

    tensors: Mapping[str, TensorEntry]
    metadata: Mapping[str, str]
    data_start: int


def read(file: BinaryIO, *, name: str, max_bytes: int = MAX_HEADER_BYTES) -> SafetensorsHeader:
    """Read the header of a complete, seekable file. Raises :class:`UnreadableWeights` if it is longer than
    ``max_bytes`` or does not exactly describe the data that follows."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    length = int.from_bytes(file.read(_PREFIX_BYTES), "little")
    if size < _PREFIX_BYTES or length > size - _PREFIX_BYTES:
        raise UnreadableWeights(f"{name!r} is not a safetensors file, or it is truncated")
    if length > max_bytes:
        raise UnreadableWeights(f"the header of {name!r} has {length} bytes; the limit is {max_bytes}")
    try:
        header = json.loads(file.read(length).decode("utf-8"), object_pairs_hook=_without_repeats)
        metadata = _metadata(header.pop("__metadata__", {}))
        tensors = {key: _entry(value) for key, value in header.items()}
        _check_offsets(tensors.values(), end=size - _PREFIX_BYTES - length)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UnreadableWeights(f"invalid header in {name!r}: {error}") from None
    return SafetensorsHeader(tensors, metadata, _PREFIX_BYTES + length)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("duplicate name")
    return made


def _metadata(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise ValueError("metadata values must be strings")
    return value


def _entry(value: Any) -> TensorEntry:
    dtype, shape, (begin, end) = value["dtype"], value["shape"], value["data_offsets"]
    if not all(type(number) is int and number >= 0 for number in (*shape, begin, end)):
        raise ValueError("shapes and offsets must be non-negative integers")
    if len(shape) > MAX_DIMENSIONS:
        raise ValueError(f"a tensor has {len(shape)} dimensions")
    if (bits := BITS.get(dtype)) is None:
        raise ValueError(f"unknown type {dtype!r}")
    if math.prod(shape) * bits != (end - begin) * 8:
        raise ValueError(f"{end - begin} bytes do not match a {dtype} tensor of shape {shape}")
    return TensorEntry(dtype, tuple(shape), begin, end)


def _check_offsets(entries: Iterable[TensorEntry], *, end: int) -> None:
    reached = 0
    for entry in sorted(entries, key=lambda entry: (entry.begin, entry.end)):
        if entry.begin != reached:
            raise ValueError(f"tensors overlap or leave a gap at byte {min(entry.begin, reached)}")
        reached = entry.end
    if reached != end:
        raise ValueError(f"the tensors end at byte {reached}, the file at byte {end}")
