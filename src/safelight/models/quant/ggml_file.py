"""The tensors of a GGUF file, and a writer of such files (``docs/gguf.md`` of the ggml project)."""

import math
import struct
from collections.abc import Mapping
from pathlib import Path

import torch

from safelight.media.gguf_header import BLOCKS, MAGIC, GgufHeader
from safelight.media.media_errors import UnreadableWeights
from safelight.models.quant.ggml_blocks import NAMES, TYPES, GgmlBlocks
from safelight.models.quant.ggml_encoding import encoded
from safelight.models.quant.stored import WEIGHT, QuantizedEntry

_DENSE: Mapping[int, tuple[str, torch.dtype]] = {
    0: ("F32", torch.float32),
    1: ("F16", torch.float16),
    30: ("BF16", torch.bfloat16),
}
"""Types that are not quantised, with the names that safetensors files use."""
_TYPES = {dtype: number for number, (_, dtype) in _DENSE.items()}
_ALIGNMENT = 32
_TEXT = 8


def shapes_and_types(name: str, header: GgufHeader) -> tuple[dict[str, torch.Size], dict[str, str]]:
    """Shapes and types of all tensors as they are stored: quantised ones as ``[rows, bytes of a row]``. Raises
    :class:`UnreadableWeights` for a type that cannot be read."""
    shapes, types = {}, {}
    for key, tensor in header.tensors.items():
        shape = tuple(reversed(tensor.shape))
        if tensor.type in _DENSE:
            types[key] = _DENSE[tensor.type][0]
        elif tensor.type in NAMES:
            numbers, size = BLOCKS[tensor.type]
            shape = (math.prod(shape[:-1]), shape[-1] // numbers * size)
            types[key] = NAMES[tensor.type]
        else:
            raise UnreadableWeights(
                f"{key!r} in {name!r} has the GGUF type {tensor.type}; supported are {', '.join(NAMES.values())}"
            )
        shapes[key] = torch.Size(shape)
    return shapes, types


def ggml_entries(shapes: Mapping[str, torch.Size], types: Mapping[str, str]) -> dict[str, QuantizedEntry]:
    """The quantised tensors, by name."""
    found = {}
    for key, type in types.items():
        if type in TYPES:
            format = GgmlBlocks(type)
            found[key] = QuantizedEntry(format, format.shape({WEIGHT: shapes[key]}), ((WEIGHT, key, shapes[key]),))
    return found


def tensor_at(bytes_of_file: torch.Tensor, offset: int, shape: torch.Size, type: str) -> torch.Tensor:
    """A tensor of a mapped file, without a copy."""
    dtype = next((dtype for name, dtype in _DENSE.values() if name == type), torch.uint8)
    return bytes_of_file[offset : offset + shape.numel() * dtype.itemsize].view(dtype).reshape(shape)


def write_gguf(
    path: Path, tensors: Mapping[str, torch.Tensor], *, formats: Mapping[str, str], architecture: str = "safelight"
) -> None:
    """Write a GGUF file. ``formats``: the format (``Q4_K`` ...) of each matrix that is to be quantised; the others keep
    their type. Raises :class:`ValueError` for a matrix whose rows are not whole blocks."""
    data: dict[str, tuple[int, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if format := formats.get(name):
            data[name] = TYPES[format], encoded(tensor, format)
        else:
            data[name] = _TYPES[tensor.dtype], tensor.contiguous()
    text = struct.pack("<Q", len(architecture)) + architecture.encode()
    key = b"general.architecture"
    header = MAGIC + struct.pack("<IQQ", 3, len(data), 1) + struct.pack("<Q", len(key)) + key
    header += struct.pack("<I", _TEXT) + text
    offset = 0
    for name, (type, stored) in data.items():
        shape = tuple(reversed(tensors[name].shape))
        header += struct.pack("<Q", len(name.encode())) + name.encode()
        header += struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, type, offset)
        offset += _aligned(stored.nbytes)
    with path.open("wb") as file:
        file.write(header.ljust(_aligned(len(header)), b"\0"))
        for _, stored in data.values():
            file.write(bytes(stored.flatten().view(torch.uint8).tolist()).ljust(_aligned(stored.nbytes), b"\0"))


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
