"""Quantise weights to the formats of safetensors files, each as the programs do that write such files: for miniature
weights, tests and the table of errors. A scale makes the largest number the largest code."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.nn import functional

from safelight.models.quant import formats
from safelight.models.quant.block_scales import in_stored_order
from safelight.models.quant.rotation import rotated

Tensors = dict[str, torch.Tensor]

E4M3_MAX, E5M2_MAX, E2M1_MAX = 448.0, 57344.0, 6.0
ROTATION = 256

NORMAL_LEVELS = (0.0516, 0.1561, 0.2642, 0.3785, 0.5018, 0.6386, 0.7947, 0.9806)
"""Positive half of a table for W4A8: levels of least squared error (Lloyd 1982, Max 1960) for sixteen normal numbers
that are divided by the largest of them."""


class NotQuantizable(ValueError):
    """A weight of this shape cannot be stored in this format."""


def quantized(name: str, weight: torch.Tensor, format: str) -> Tensors:
    """The tensors of the layer ``name`` with ``weight [out, in]`` in one of :data:`WRITERS`, by their names in a file,
    the mark included. Raises :class:`NotQuantizable`."""
    settings, parts = WRITERS[format](weight.float())
    tensors = {f"{name}.{part}": tensor.contiguous() for part, tensor in parts.items()}
    if settings is not None:
        tensors[f"{name}.comfy_quant"] = mark(settings)
    return tensors


def mark(settings: Mapping[str, Any]) -> torch.Tensor:
    """The tensor that marks a layer."""
    return torch.frombuffer(bytearray(json.dumps(settings).encode()), dtype=torch.uint8)


def _cast(weight: torch.Tensor) -> tuple[None, Tensors]:
    return None, {"weight": weight.to(torch.float8_e4m3fn)}


def _old_scaled(weight: torch.Tensor) -> tuple[None, Tensors]:
    """Also needs the tensor ``scaled_fp8`` at the top of the file."""
    codes, scale = _scaled(weight, torch.float8_e4m3fn, E4M3_MAX)
    return None, {"weight": codes, "scale_weight": scale}


def _float8(dtype: torch.dtype, name: str, largest: float) -> Callable[[torch.Tensor], tuple[Any, Tensors]]:
    def write(weight: torch.Tensor) -> tuple[Any, Tensors]:
        codes, scale = _scaled(weight, dtype, largest)
        return {"format": name}, {"weight": codes, formats.SCALE: scale}

    return write


def _scaled(weight: torch.Tensor, dtype: torch.dtype, largest: float) -> tuple[torch.Tensor, torch.Tensor]:
    scale = (weight.abs().amax() / largest).clamp_min(1e-12)
    return (weight / scale).clamp(-largest, largest).to(dtype), scale


def _int8(weight: torch.Tensor) -> tuple[Any, Tensors]:
    codes, scale = _by_row(weight, 127)
    return {"format": "int8_tensorwise"}, {"weight": codes, formats.SCALE: scale}


def _int8_rotated(weight: torch.Tensor) -> tuple[Any, Tensors]:
    group = _rotation_of(weight)
    codes, scale = _by_row(rotated(weight, group), 127)
    settings = {"format": "int8_tensorwise", "convrot": True, "convrot_groupsize": group}
    return settings, {"weight": codes, formats.SCALE: scale}


def _by_row(weight: torch.Tensor, largest: int) -> tuple[torch.Tensor, torch.Tensor]:
    scale = (weight.abs().amax(dim=1, keepdim=True) / largest).clamp_min(1e-30)
    return (weight / scale).round().clamp(-largest, largest).to(torch.int8), scale


def _nvfp4(weight: torch.Tensor) -> tuple[Any, Tensors]:
    return {"format": "nvfp4"}, _nvfp4_parts(weight)


def _nvfp4_awq(weight: torch.Tensor) -> tuple[Any, Tensors]:
    """Columns with small numbers are enlarged before they are rounded, and the inputs scaled down by as much."""
    columns = weight.abs().mean(dim=0).clamp_min(1e-12)
    scales = (columns / columns.mean()).sqrt()
    return {"format": "nvfp4"}, {**_nvfp4_parts(weight / scales), formats.INPUT_SCALES: scales}


def _nvfp4_parts(weight: torch.Tensor) -> Tensors:
    weight = _padded(weight, formats.NVFP4_BLOCK)
    blocks = weight.reshape(weight.shape[0], -1, formats.NVFP4_BLOCK)
    whole = (weight.abs().amax() / (E4M3_MAX * E2M1_MAX)).clamp_min(1e-30)
    scales = (blocks.abs().amax(dim=2) / E2M1_MAX / whole).clamp(max=E4M3_MAX).to(torch.float8_e4m3fn)
    total = scales.float() * whole
    values = torch.where(total == 0, 0.0, (blocks.movedim(-1, 0) / torch.where(total == 0, 1.0, total))).movedim(0, -1)
    positive = torch.tensor(formats.E2M1[:8])
    edges = (positive[1:] + positive[:-1]) / 2
    codes = torch.bucketize(values.abs().contiguous(), edges).to(torch.uint8) | (values < 0).to(torch.uint8) << 3
    codes = codes.reshape(weight.shape)
    return {
        "weight": codes[:, 0::2] << 4 | codes[:, 1::2],
        formats.SCALE: in_stored_order(scales.view(torch.uint8)).contiguous().view(torch.float8_e4m3fn),
        formats.SECOND_SCALE: whole,
    }


def _mxfp8(weight: torch.Tensor) -> tuple[Any, Tensors]:
    weight = _padded(weight, formats.MXFP8_BLOCK)
    blocks = weight.reshape(weight.shape[0], -1, formats.MXFP8_BLOCK)
    needed = (blocks.abs().amax(dim=2) / E4M3_MAX).clamp_min(2.0**-126)
    exponents = needed.log2().ceil().int()
    codes = (blocks / torch.exp2(exponents.float())[..., None]).clamp(-E4M3_MAX, E4M3_MAX)
    return {"format": "mxfp8"}, {
        "weight": codes.reshape(weight.shape).to(torch.float8_e4m3fn),
        formats.SCALE: in_stored_order((exponents + 127).to(torch.uint8)),
    }


def _w4a8(weight: torch.Tensor) -> tuple[Any, Tensors]:
    rotation, group = _rotation_of(weight), 16
    rows = weight.shape[0]
    grouped = rotated(weight, rotation).reshape(rows, -1, group)
    table = torch.tensor([-level for level in reversed(NORMAL_LEVELS)] + list(NORMAL_LEVELS))
    scale = grouped.abs().amax(dim=2, keepdim=True).clamp_min(1e-12)
    row_scale = (scale.amax(dim=(1, 2)) * NORMAL_LEVELS[-1] / 127).clamp_min(1e-12)
    relative = (scale[..., 0] / row_scale[:, None]).to(torch.float8_e4m3fn)
    decoded = relative.float()[..., None] * row_scale[:, None, None]
    codes = torch.bucketize((grouped / decoded).contiguous(), (table[1:] + table[:-1]) / 2).to(torch.uint8)
    codes = codes.reshape(rows, -1)
    return {"format": "asym_w4a8_int8", "convrot": True, "convrot_groupsize": rotation, "group_size": group}, {
        "weight": (codes[:, 0::2] | codes[:, 1::2] << 4).view(torch.int8),
        "weight_s_rel": relative,
        "weight_s_channel": row_scale,
        "weight_codebook": table,
    }


def _w4a4(weight: torch.Tensor) -> tuple[Any, Tensors]:
    rotation = _rotation_of(weight)
    codes, scale = _by_row(rotated(weight, rotation), 7)
    halves = codes.view(torch.uint8) & 15
    packed = (halves[:, 0::2] | halves[:, 1::2] << 4).view(torch.int8)
    settings = {"format": "convrot_w4a4", "convrot_groupsize": rotation}
    return settings, {"weight": packed, formats.SCALE: scale.flatten()}


def _rotation_of(weight: torch.Tensor) -> int:
    if weight.shape[1] % ROTATION:
        raise NotQuantizable(f"{weight.shape[1]} inputs are not a multiple of {ROTATION}")
    return ROTATION


def _padded(weight: torch.Tensor, multiple: int) -> torch.Tensor:
    rows, columns = (-size % multiple for size in weight.shape)
    return functional.pad(weight, (0, columns, 0, rows))


WRITERS: Mapping[str, Callable[[torch.Tensor], tuple[Any, Tensors]]] = {
    "fp8_e4m3fn": _cast,
    "fp8_scaled_old": _old_scaled,
    "fp8_scaled": _float8(torch.float8_e4m3fn, "float8_e4m3fn", E4M3_MAX),
    "fp8_e5m2_scaled": _float8(torch.float8_e5m2, "float8_e5m2", E5M2_MAX),
    "int8": _int8,
    "int8_convrot": _int8_rotated,
    "nvfp4": _nvfp4,
    "nvfp4_awq": _nvfp4_awq,
    "mxfp8": _mxfp8,
    "w4a8": _w4a8,
    "w4a4": _w4a4,
}
"""By the names that files of such weights have."""
