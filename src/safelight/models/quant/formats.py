"""The quantisation formats of safetensors files.

==================  ==========================  ===============================================================
format              codes                       a weight is
==================  ==========================  ===============================================================
``cast``            float8 ``[o, i]``           the codes
``float8_*``        float8 ``[o, i]``           codes times ``weight_scale``
``int8_tensorwise`` int8 ``[o, i]``             codes times ``weight_scale``, rotated back if ``convrot``
``nvfp4``           2 of e2m1 ``[o, i / 2]``    codes times e4m3 scales of 16 inputs times ``weight_scale_2``
``mxfp8``           e4m3 ``[o, i]``             codes times powers of two, one for 32 inputs
``asym_w4a8_int8``  2 indices ``[o, i / 2]``    a table's numbers times two scales, rounded between, rotated back
``convrot_w4a4``    2 of int4 ``[o, i / 2]``    codes times one scale per row, rotated back
==================  ==========================  ===============================================================

In a byte with two codes, ``nvfp4`` has the first in the high half, the others in the low half. ``pre_quant_scale``
``[i]`` (AWQ, Lin et al. 2023) multiplies the layer's inputs, which is the same as multiplying the weight's columns.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from safelight.models.quant.block_scales import in_row_order, stored_shape
from safelight.models.quant.rotation import is_rotation_size, rotated
from safelight.models.quant.stored import WEIGHT, Parts

SCALE = "weight_scale"
SECOND_SCALE = "weight_scale_2"
INPUT_SCALES = "pre_quant_scale"
NVFP4_BLOCK, MXFP8_BLOCK = 16, 32
E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0)
"""The numbers of four bits: a sign, two bits of exponent, one of mantissa."""


@dataclass(frozen=True)
class Cast:
    """A type that nothing computes in, without a scale."""

    name: str = "float8"

    def shape(self, parts: Mapping[str, torch.Size]) -> torch.Size:
        return _matrix(parts[WEIGHT])

    def dequantized(self, parts: Parts) -> torch.Tensor:
        return parts[WEIGHT].float()

    def rows(self, parts: Parts, numbers: torch.Tensor) -> Parts | None:
        return {WEIGHT: _bytes_of_rows(parts[WEIGHT], numbers)}


@dataclass(frozen=True)
class ScaledFloat8:
    """One scale for the tensor, or one for each row."""

    name: str = "float8_e4m3fn"

    def shape(self, parts: Mapping[str, torch.Size]) -> torch.Size:
        shape = _matrix(parts[WEIGHT])
        _check_scale(parts[SCALE], shape[0])
        return shape

    def dequantized(self, parts: Parts) -> torch.Tensor:
        return parts[WEIGHT].float() * _column(parts[SCALE])

    def rows(self, parts: Parts, numbers: torch.Tensor) -> Parts | None:
        return {WEIGHT: _bytes_of_rows(parts[WEIGHT], numbers), SCALE: _scales_of_rows(parts[SCALE], numbers)}


@dataclass(frozen=True)
class Int8:
    """``group``: the size of the rotated groups; 0 without rotation."""

    group: int = 0
    name: str = "int8_tensorwise"

    def shape(self, parts: Mapping[str, torch.Size]) -> torch.Size:
        shape = _matrix(parts[WEIGHT])
        _check_scale(parts[SCALE], shape[0])
        _check_rotation(self.group, shape[1])
        return shape

    def dequantized(self, parts: Parts) -> torch.Tensor:
        weight = parts[WEIGHT].float() * _column(parts[SCALE])
        return rotated(weight, self.group) if self.group else weight

    def rows(self, parts: Parts, numbers: torch.Tensor) -> Parts | None:
        return {WEIGHT: parts[WEIGHT][numbers], SCALE: _scales_of_rows(parts[SCALE], numbers)}


@dataclass(frozen=True)
class Nvfp4:
    """Rows and columns are padded to multiples of 16."""

    name: str = "nvfp4"

    def shape(self, parts: Mapping[str, torch.Size]) -> torch.Size:
        rows, half = _matrix(parts[WEIGHT])
        shape = torch.Size((rows, half * 2))
        if shape[1] % NVFP4_BLOCK:
            raise ValueError(f"{shape[1]} inputs are not a multiple of {NVFP4_BLOCK}")
        _check_block_scales(parts[SCALE], rows, shape[1] // NVFP4_BLOCK)
        if INPUT_SCALES in parts and parts[INPUT_SCALES].numel() != shape[1]:
            raise ValueError(f"{parts[INPUT_SCALES].numel()} scales for {shape[1]} inputs")
        return shape

    def dequantized(self, parts: Parts) -> torch.Tensor:
        codes = parts[WEIGHT].view(torch.uint8)
        rows, columns = codes.shape[0], codes.shape[1] * 2
        numbers = torch.tensor(E2M1, device=codes.device)
        values = numbers[torch.stack((codes >> 4, codes & 15), dim=-1).int()].reshape(rows, -1, NVFP4_BLOCK)
        scales = in_row_order(parts[SCALE].view(torch.uint8), rows, columns // NVFP4_BLOCK)
        scale = scales.contiguous().view(torch.float8_e4m3fn).float() * parts[SECOND_SCALE].float().reshape(())
        weight = (values * scale[..., None]).reshape(rows, columns)
        return weight * parts[INPUT_SCALES].float().reshape(1, -1) if INPUT_SCALES in parts else weight

    def rows(self, parts: Parts, numbers: torch.Tensor) -> Parts | None:
        return None


@dataclass(frozen=True)
class Mxfp8:
    """Microscaling (Rouhani et al. 2023): a scale is a biased exponent. Rows and columns are padded to multiples of
    32."""

    name: str = "mxfp8"

    def shape(self, parts: Mapping[str, torch.Size]) -> torch.Size:
        shape = _matrix(parts[WEIGHT])
        if shape[1] % MXFP8_BLOCK:
            raise ValueError(f"{shape[1]} inputs are not a multiple of {MXFP8_BLOCK}")
        _check_block_scales(parts[SCALE], shape[0], shape[1] // MXFP8_BLOCK)
        return shape

    def dequantized(self, parts: Parts) -> torch.Tensor:
        rows, columns = parts[WEIGHT].shape
        exponents = in_row_order(parts[SCALE].view(torch.uint8), rows, columns // MXFP8_BLOCK)
        scales = torch.where(exponents > 0, torch.exp2(exponents.float() - 127), 0.0)
        values = parts[WEIGHT].float().reshape(rows, -1, MXFP8_BLOCK)
        return (values * scales[..., None]).reshape(rows, columns)

    def rows(self, parts: Parts, numbers: torch.Tensor) -> Parts | None:
        return None


@dataclass(frozen=True)
class W4A8:
    """Indices into a table of 16 numbers, of which ``weight_s_rel`` scales ``group`` neighbours to integers of eight
    bits, and ``weight_s_channel`` the row. Without a table, codes are integers around the middle. Rows with six bits
    per code have the two high bits of four codes in each byte after the low halves."""

    group: int = 16
    rotation: int = 256
    name: str = "asym_w4a8_int8"

    def shape(self, parts: Mapping[str, torch.Size]) -> torch.Size:
        rows, stored = _matrix(parts[WEIGHT])
        columns = _matrix(parts["weight_s_rel"])[1] * self.group
        if stored * 2 != columns and stored * 4 != columns * 3:
            raise ValueError(f"rows of {stored} bytes do not have {columns} codes of 4 or 6 bits")
        if parts["weight_s_channel"].numel() != rows:
            raise ValueError(f"{parts['weight_s_channel'].numel()} scales for {rows} rows")
        _check_rotation(self.rotation, columns)
        return torch.Size((rows, columns))

    def dequantized(self, parts: Parts) -> torch.Tensor:
        scales = parts["weight_s_rel"].float()
        rows, columns = scales.shape[0], scales.shape[1] * self.group
        stored = parts[WEIGHT].view(torch.uint8)
        codes = _low_half_first(stored[:, : columns // 2])
        bits = stored.shape[1] * 8 // columns
        if bits == 6:
            shifts = torch.tensor([0, 2, 4, 6], device=stored.device, dtype=torch.uint8)
            high = (stored[:, columns // 2 :, None] >> shifts) & 3
            codes = codes | high.reshape(rows, columns) << 4
        if "weight_codebook" in parts:
            values = parts["weight_codebook"].float()[codes.int()]
        else:
            values = codes.float() - (1 << (bits - 1))
        grouped = (values.reshape(rows, -1, self.group) * scales[..., None]).round().clamp(-127, 127)
        weight = grouped * parts["weight_s_channel"].float().reshape(rows, 1, 1)
        if "weight_correction" in parts:
            weight = weight + parts["weight_correction"].float().t()[..., None]
        weight = weight.reshape(rows, columns)
        return rotated(weight, self.rotation) if self.rotation else weight

    def rows(self, parts: Parts, numbers: torch.Tensor) -> Parts | None:
        return None


@dataclass(frozen=True)
class W4A4:
    """Two signed integers of four bits per byte."""

    rotation: int = 256
    name: str = "convrot_w4a4"

    def shape(self, parts: Mapping[str, torch.Size]) -> torch.Size:
        rows, half = _matrix(parts[WEIGHT])
        _check_scale(parts[SCALE], rows)
        _check_rotation(self.rotation, half * 2)
        return torch.Size((rows, half * 2))

    def dequantized(self, parts: Parts) -> torch.Tensor:
        codes = _low_half_first(parts[WEIGHT].view(torch.uint8)).to(torch.int8)
        signed = torch.where(codes > 7, codes - 16, codes)
        return rotated(signed.float() * _column(parts[SCALE]), self.rotation)

    def rows(self, parts: Parts, numbers: torch.Tensor) -> Parts | None:
        return {WEIGHT: parts[WEIGHT][numbers], SCALE: _scales_of_rows(parts[SCALE], numbers)}


def _low_half_first(stored: torch.Tensor) -> torch.Tensor:
    """The codes ``[rows, 2 * columns]`` of bytes ``[rows, columns]``."""
    return torch.stack((stored & 15, stored >> 4), dim=-1).reshape(stored.shape[0], -1)


def _bytes_of_rows(codes: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    return codes.view(torch.uint8)[numbers].view(codes.dtype)  # float8 cannot be indexed on every device


def _column(scale: torch.Tensor) -> torch.Tensor:
    return scale.float() if scale.numel() == 1 else scale.float().reshape(-1, 1)


def _scales_of_rows(scale: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    return scale if scale.numel() == 1 else scale.reshape(-1, 1)[numbers]


def _matrix(shape: torch.Size) -> torch.Size:
    if len(shape) != 2:
        raise ValueError(f"its codes have {len(shape)} dimensions; 2 are expected")
    return shape


def _check_scale(scale: torch.Size, rows: int) -> None:
    if scale.numel() not in (1, rows):
        raise ValueError(f"{scale.numel()} scales for {rows} rows")


def _check_block_scales(scale: torch.Size, rows: int, columns: int) -> None:
    expected = stored_shape(rows, columns)
    if scale.numel() != expected[0] * expected[1]:
        raise ValueError(f"{scale.numel()} scales of blocks; {expected[0] * expected[1]} are expected")


def _check_rotation(group: int, columns: int) -> None:
    if group and (not is_rotation_size(group) or columns % group):
        raise ValueError(f"{columns} inputs are not rotated in groups of {group}")
