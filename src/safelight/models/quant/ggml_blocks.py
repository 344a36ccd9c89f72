"""The block formats of GGUF files (``ggml-common.h`` and ``ggml-quants.c`` of the ggml project describe them).

A row is a sequence of blocks of 32 or, for the K formats, 256 numbers; a block has the scales and the codes of its
numbers. ``d`` is a block's scale and ``m`` its minimum, in half precision. A K block has sub-blocks with small integers
as scales of their own.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from safelight.media.gguf_header import BLOCKS
from safelight.models.quant.stored import WEIGHT, Parts

NAMES: Mapping[int, str] = {
    2: "Q4_0",
    3: "Q4_1",
    6: "Q5_0",
    7: "Q5_1",
    8: "Q8_0",
    10: "Q2_K",
    11: "Q3_K",
    12: "Q4_K",
    13: "Q5_K",
    14: "Q6_K",
}
"""By the number of the type."""
TYPES: Mapping[str, int] = {name: number for number, name in NAMES.items()}


@dataclass(frozen=True)
class GgmlBlocks:
    """Codes are ``[rows, bytes of a row]``."""

    name: str

    @property
    def block(self) -> tuple[int, int]:
        """Numbers and bytes of a block."""
        return BLOCKS[TYPES[self.name]]

    def shape(self, parts: Mapping[str, torch.Size]) -> torch.Size:
        rows, stored = parts[WEIGHT]
        numbers, size = self.block
        if stored % size:
            raise ValueError(f"rows of {stored} bytes are not whole blocks of {size}")
        return torch.Size((rows, stored // size * numbers))

    def dequantized(self, parts: Parts) -> torch.Tensor:
        stored = parts[WEIGHT]
        blocks = stored.reshape(-1, self.block[1])
        return _DECODERS[self.name](blocks).reshape(stored.shape[0], -1)

    def rows(self, parts: Parts, numbers: torch.Tensor) -> Parts | None:
        return {WEIGHT: parts[WEIGHT][numbers]}


def _q4_0(blocks: torch.Tensor) -> torch.Tensor:
    return _half(blocks, 0) * (_halves(blocks[:, 2:], 16) - 8.0)


def _q4_1(blocks: torch.Tensor) -> torch.Tensor:
    return _half(blocks, 0) * _halves(blocks[:, 4:], 16) + _half(blocks, 2)


def _q5_0(blocks: torch.Tensor) -> torch.Tensor:
    codes = _halves(blocks[:, 6:], 16) | _bits(blocks[:, 2:6]) << 4
    return _half(blocks, 0) * (codes - 16.0)


def _q5_1(blocks: torch.Tensor) -> torch.Tensor:
    codes = _halves(blocks[:, 8:], 16) | _bits(blocks[:, 4:8]) << 4
    return _half(blocks, 0) * codes + _half(blocks, 2)


def _q8_0(blocks: torch.Tensor) -> torch.Tensor:
    return _half(blocks, 0) * blocks[:, 2:].view(torch.int8)


def _q2_k(blocks: torch.Tensor) -> torch.Tensor:
    """16 scales and minima of 4 bits, codes of 2 bits, ``d``, ``m``."""
    scales, codes = blocks[:, :16], _fields(blocks[:, 16:80], 32, 2)
    sub_blocks = codes.reshape(-1, 16, 16)
    scaled = (_half(blocks, 80) * (scales & 15))[..., None] * sub_blocks
    return scaled - (_half(blocks, 82) * (scales >> 4))[..., None]


def _q3_k(blocks: torch.Tensor) -> torch.Tensor:
    """The high bits of the codes, their low 2 bits, 16 scales of 6 bits, ``d``."""
    high = _fields(blocks[:, :32], 32, 1)
    codes = _fields(blocks[:, 32:96], 32, 2).to(torch.int8) - 4 * (1 - high).to(torch.int8)
    low, upper = blocks[:, 96:104], blocks[:, 104:108]
    scales = torch.cat((low & 15, low >> 4), dim=1) | _fields(upper, 4, 2) << 4
    return (_half(blocks, 108) * (scales.float() - 32))[..., None] * codes.reshape(-1, 16, 16)


def _q4_k(blocks: torch.Tensor) -> torch.Tensor:
    """``d``, ``m``, 8 scales and minima of 6 bits, codes of 4 bits."""
    scales, minima = _six_bits(blocks[:, 4:16])
    codes = _halves(blocks[:, 16:], 32).reshape(-1, 8, 32)
    return (_half(blocks, 0) * scales)[..., None] * codes - (_half(blocks, 2) * minima)[..., None]


def _q5_k(blocks: torch.Tensor) -> torch.Tensor:
    """As ``Q4_K``, with the fifth bits of the codes before the others."""
    scales, minima = _six_bits(blocks[:, 4:16])
    codes = _halves(blocks[:, 48:], 32) | _fields(blocks[:, 16:48], 32, 1) << 4
    scaled = (_half(blocks, 0) * scales)[..., None] * codes.reshape(-1, 8, 32)
    return scaled - (_half(blocks, 2) * minima)[..., None]


def _q6_k(blocks: torch.Tensor) -> torch.Tensor:
    """The low 4 bits of the codes, their high 2 bits, 16 scales of 8 bits, ``d``."""
    codes = _halves(blocks[:, :128], 64) | _fields(blocks[:, 128:192], 32, 2) << 4
    scales = _half(blocks, 208) * blocks[:, 192:208].view(torch.int8)
    return scales[..., None] * (codes.reshape(-1, 16, 16) - 32.0)


_DECODERS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "Q4_0": _q4_0,
    "Q4_1": _q4_1,
    "Q5_0": _q5_0,
    "Q5_1": _q5_1,
    "Q8_0": _q8_0,
    "Q2_K": _q2_k,
    "Q3_K": _q3_k,
    "Q4_K": _q4_k,
    "Q5_K": _q5_k,
    "Q6_K": _q6_k,
}


def _half(blocks: torch.Tensor, position: int) -> torch.Tensor:
    """The number in half precision at a byte of each block, ``[blocks, 1]``."""
    return blocks[:, position : position + 2].contiguous().view(torch.float16).float()


def _fields(stored: torch.Tensor, run: int, bits: int) -> torch.Tensor:
    """Codes of ``bits`` bits, ``[blocks, numbers]``: each run of ``run`` bytes has first the lowest bits of all its
    bytes, then the next."""
    shifts = torch.arange(0, 8, bits, dtype=torch.uint8, device=stored.device)
    codes = stored.reshape(stored.shape[0], -1, 1, run) >> shifts[:, None]
    return (codes & ((1 << bits) - 1)).reshape(stored.shape[0], -1)


def _halves(stored: torch.Tensor, run: int) -> torch.Tensor:
    return _fields(stored, run, 4)


def _bits(stored: torch.Tensor) -> torch.Tensor:
    """The bits of 4 bytes, the lowest first, ``[blocks, 32]``."""
    shifts = torch.arange(8, dtype=torch.uint8, device=stored.device)
    return ((stored[..., None] >> shifts) & 1).reshape(stored.shape[0], -1)


def _six_bits(packed: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """8 scales and 8 minima of 6 bits, of 12 bytes: the first four of each, whose two high bits are the high bits of
    the last four; then the low halves of the last four."""
    scales, minima, low = packed.reshape(-1, 3, 4).unbind(1)
    return (
        torch.cat((scales & 63, low & 15 | (scales >> 2) & 48), dim=1),
        torch.cat((minima & 63, low >> 4 | (minima >> 2) & 48), dim=1),
    )


def row_bytes(name: str, numbers: int) -> int:
    """The bytes of a row of ``numbers`` numbers."""
    block, size = BLOCKS[TYPES[name]]
    return math.ceil(numbers / block) * size
