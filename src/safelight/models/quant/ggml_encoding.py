"""Encode weights in the block formats of GGUF files: for miniature weights and tests. Scales are taken from the largest
and smallest number of each block, without a search for better ones.
"""

from collections.abc import Callable, Mapping

import torch

from safelight.media.gguf_header import BLOCKS
from safelight.models.quant.ggml_blocks import TYPES


def encoded(weight: torch.Tensor, format: str) -> torch.Tensor:
    """The bytes ``[rows, bytes of a row]`` of a ``weight [rows, columns]``. Raises :class:`ValueError` if a row is not
    a whole number of blocks."""
    numbers, _ = BLOCKS[TYPES[format]]
    if weight.shape[1] % numbers:
        raise ValueError(f"rows of {weight.shape[1]} numbers are not whole blocks of {numbers}")
    blocks = weight.float().reshape(-1, numbers)
    return _ENCODERS[format](blocks).reshape(weight.shape[0], -1)


def _q4_0(blocks: torch.Tensor) -> torch.Tensor:
    d = _signed_peak(blocks) / -8
    return torch.cat((_half(d), _joined(_codes(blocks, d, 8, 15), 16, 4)), dim=1)


def _q4_1(blocks: torch.Tensor) -> torch.Tensor:
    d, low = _range(blocks, 15)
    return torch.cat((_half(d), _half(low), _joined(_codes(blocks - low, d, 0, 15), 16, 4)), dim=1)


def _q5_0(blocks: torch.Tensor) -> torch.Tensor:
    d = _signed_peak(blocks) / -16
    codes = _codes(blocks, d, 16, 31)
    return torch.cat((_half(d), _bits(codes >> 4), _joined(codes & 15, 16, 4)), dim=1)


def _q5_1(blocks: torch.Tensor) -> torch.Tensor:
    d, low = _range(blocks, 31)
    codes = _codes(blocks - low, d, 0, 31)
    return torch.cat((_half(d), _half(low), _bits(codes >> 4), _joined(codes & 15, 16, 4)), dim=1)


def _q8_0(blocks: torch.Tensor) -> torch.Tensor:
    d = blocks.abs().amax(dim=1, keepdim=True) / 127
    codes = (blocks / d.clamp_min(1e-30)).round().to(torch.int8)
    return torch.cat((_half(d), codes.view(torch.uint8)), dim=1)


def _q2_k(blocks: torch.Tensor) -> torch.Tensor:
    scales, minima, d, m = _two_levels(blocks.reshape(-1, 16, 16), 3, 15)
    codes = _k_codes(blocks.reshape(-1, 16, 16), scales, minima, d, m, 3)
    return torch.cat((scales | minima << 4, _joined(codes, 32, 2), _half(d), _half(m)), dim=1)


def _q3_k(blocks: torch.Tensor) -> torch.Tensor:
    scales, d = _signed_levels(blocks.reshape(-1, 16, 16), 4, 32)
    signed = _signed_codes(blocks.reshape(-1, 16, 16), scales, d, 4)
    stored = (scales + 32).to(torch.uint8)
    low = stored[:, :8] & 15 | (stored[:, 8:] & 15) << 4
    codes = (signed + 4).to(torch.uint8)
    parts = (_joined(codes >> 2, 32, 1), _joined(codes & 3, 32, 2), low, _joined(stored >> 4, 4, 2), _half(d))
    return torch.cat(parts, dim=1)


def _q4_k(blocks: torch.Tensor) -> torch.Tensor:
    scales, minima, d, m = _two_levels(blocks.reshape(-1, 8, 32), 15, 63)
    codes = _k_codes(blocks.reshape(-1, 8, 32), scales, minima, d, m, 15)
    return torch.cat((_half(d), _half(m), _six_bits(scales, minima), _joined(codes, 32, 4)), dim=1)


def _q5_k(blocks: torch.Tensor) -> torch.Tensor:
    scales, minima, d, m = _two_levels(blocks.reshape(-1, 8, 32), 31, 63)
    codes = _k_codes(blocks.reshape(-1, 8, 32), scales, minima, d, m, 31)
    parts = (_half(d), _half(m), _six_bits(scales, minima), _joined(codes >> 4, 32, 1), _joined(codes & 15, 32, 4))
    return torch.cat(parts, dim=1)


def _q6_k(blocks: torch.Tensor) -> torch.Tensor:
    scales, d = _signed_levels(blocks.reshape(-1, 16, 16), 32, 128)
    codes = (_signed_codes(blocks.reshape(-1, 16, 16), scales, d, 32) + 32).to(torch.uint8)
    signed = scales.to(torch.int8).view(torch.uint8)
    return torch.cat((_joined(codes & 15, 64, 4), _joined(codes >> 4, 32, 2), signed, _half(d)), dim=1)


_ENCODERS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
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


def _half(numbers: torch.Tensor) -> torch.Tensor:
    return numbers.to(torch.float16).view(torch.uint8)


def _signed_peak(blocks: torch.Tensor) -> torch.Tensor:
    """The number with the largest magnitude of each block."""
    return blocks.gather(1, blocks.abs().argmax(dim=1, keepdim=True))


def _range(blocks: torch.Tensor, steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    low = blocks.amin(dim=1, keepdim=True)
    return (blocks.amax(dim=1, keepdim=True) - low) / steps, low


def _codes(blocks: torch.Tensor, d: torch.Tensor, middle: int, highest: int) -> torch.Tensor:
    scaled = torch.where(d == 0, 0.0, blocks / torch.where(d == 0, 1.0, d))
    return (scaled + middle + 0.5).floor().clamp(0, highest).to(torch.uint8)


def _two_levels(
    sub_blocks: torch.Tensor, steps: int, highest: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Scales and minima of sub-blocks as integers up to ``highest``, and what multiplies them."""
    low = (-sub_blocks.amin(dim=2)).clamp_min(0)
    scale = (sub_blocks.amax(dim=2) + low).clamp_min(0) / steps
    d = (scale.amax(dim=1, keepdim=True) / highest).half().float()
    m = (low.amax(dim=1, keepdim=True) / highest).half().float()
    return _codes(scale, d, 0, highest), _codes(low, m, 0, highest), d, m


def _k_codes(
    sub_blocks: torch.Tensor,
    scales: torch.Tensor,
    minima: torch.Tensor,
    d: torch.Tensor,
    m: torch.Tensor,
    highest: int,
) -> torch.Tensor:
    codes = _codes(sub_blocks + (m * minima)[..., None], (d * scales)[..., None], 0, highest)
    return codes.reshape(len(codes), -1)


def _signed_levels(sub_blocks: torch.Tensor, steps: int, highest: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Scales of sub-blocks as integers in ``-highest..highest - 1``, and what multiplies them."""
    peak = sub_blocks.gather(2, sub_blocks.abs().argmax(dim=2, keepdim=True))[..., 0] / -steps
    largest = peak.gather(1, peak.abs().argmax(dim=1, keepdim=True))
    d = (largest / -highest).half().float()
    scaled = torch.where(d == 0, 0.0, peak / torch.where(d == 0, 1.0, d))
    return scaled.round().clamp(-highest, highest - 1), d


def _signed_codes(sub_blocks: torch.Tensor, scales: torch.Tensor, d: torch.Tensor, highest: int) -> torch.Tensor:
    scale = (d * scales)[..., None]
    scaled = torch.where(scale == 0, 0.0, sub_blocks / torch.where(scale == 0, 1.0, scale))
    return scaled.round().clamp(-highest, highest - 1).reshape(len(sub_blocks), -1)


def _joined(codes: torch.Tensor, run: int, bits: int) -> torch.Tensor:
    """Codes of ``bits`` bits, ``run`` of them in the lowest bits of ``run`` bytes, the next in the next bits."""
    shifts = torch.arange(0, 8, bits, dtype=torch.uint8)
    grouped = codes.to(torch.uint8).reshape(codes.shape[0], -1, 8 // bits, run) << shifts[:, None]
    return grouped.sum(dim=2).to(torch.uint8).reshape(codes.shape[0], -1)


def _bits(codes: torch.Tensor) -> torch.Tensor:
    shifts = torch.arange(8, dtype=torch.uint8)
    return (codes.reshape(codes.shape[0], -1, 8) << shifts).sum(dim=2).to(torch.uint8)


def _six_bits(scales: torch.Tensor, minima: torch.Tensor) -> torch.Tensor:
    first = scales[:, :4] | (scales[:, 4:] >> 4) << 6
    second = minima[:, :4] | (minima[:, 4:] >> 4) << 6
    return torch.cat((first, second, scales[:, 4:] & 15 | (minima[:, 4:] & 15) << 4), dim=1)
