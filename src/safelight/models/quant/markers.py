"""Which weights of a safetensors file are quantised, and how.

A layer ``X`` is marked by ``X.comfy_quant``, a tensor with the bytes of a JSON object, or by an entry below ``layers``
of the metadata ``_quantization_metadata``. Older files have one tensor ``scaled_fp8`` below a prefix, and a
``scale_weight`` in each layer. A float8 weight without a mark has no scale.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from safelight.media.media_errors import UnreadableWeights
from safelight.models.quant import formats
from safelight.models.quant.stored import WEIGHT, QuantizedEntry, QuantizedFormat

MARK = ".comfy_quant"
METADATA = "_quantization_metadata"
_OLD_MARK, _OLD_SCALE, _OLD_INPUT_SCALE = "scaled_fp8", "scale_weight", "scale_input"
_UNUSED = ("input_scale", _OLD_INPUT_SCALE)
"""Scales of a layer's inputs, for kernels that multiply codes."""
_FLOAT8 = {"F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}

_BYTE = ("U8", "I8")
_NEEDED: Mapping[str, tuple[tuple[str, ...], Mapping[str, tuple[str, ...]], tuple[str, ...]]] = {
    # the types of the codes; the other parts, with their types if only some can be read; parts that may be missing
    "float8_e4m3fn": (("F8_E4M3",), {formats.SCALE: ()}, ()),
    "float8_e5m2": (("F8_E5M2",), {formats.SCALE: ()}, ()),
    "int8_tensorwise": (("I8",), {formats.SCALE: ()}, ()),
    "nvfp4": (_BYTE, {formats.SCALE: ("F8_E4M3", "U8"), formats.SECOND_SCALE: ()}, (formats.INPUT_SCALES,)),
    "mxfp8": (("F8_E4M3",), {formats.SCALE: ("F8_E8M0", "U8")}, ()),
    "asym_w4a8_int8": (
        _BYTE,
        {"weight_s_rel": (), "weight_s_channel": ()},
        ("weight_codebook", "weight_correction"),
    ),
    "convrot_w4a4": (_BYTE, {formats.SCALE: ()}, ()),
}

ReadBytes = Callable[[str], bytes]
"""The bytes of a tensor of the file."""


def quantized_entries(
    name: str,
    *,
    shapes: Mapping[str, torch.Size],
    dtypes: Mapping[str, str],
    metadata: Mapping[str, str],
    read_bytes: ReadBytes,
) -> dict[str, QuantizedEntry]:
    """The quantised weights of the file ``name``, by the name of their codes. Raises :class:`UnreadableWeights` for an
    unknown format, and for a layer whose tensors are not those of its format."""
    found: dict[str, QuantizedEntry] = {}
    old = [key.removesuffix(_OLD_MARK) for key in shapes if key.rpartition(".")[2] == _OLD_MARK]
    for layer, settings in _marked_layers(name, shapes, metadata, read_bytes):
        found[f"{layer}.{WEIGHT}"] = _entry(name, layer, settings, shapes, dtypes)
    for key, dtype in dtypes.items():
        if not key.endswith(f".{WEIGHT}") or key in found or dtype not in _FLOAT8 or len(shapes[key]) != 2:
            continue
        layer = key.removesuffix(f".{WEIGHT}")
        scale = f"{layer}.{_OLD_SCALE}"
        if scale in shapes and any(key.startswith(prefix) for prefix in old):
            keys = {WEIGHT: key, formats.SCALE: scale}
            found[key] = _checked(name, layer, formats.ScaledFloat8(_FLOAT8[dtype]), keys, shapes)
        else:
            found[key] = QuantizedEntry(formats.Cast(), shapes[key], ((WEIGHT, key, shapes[key]),))
    return found


def is_mark(key: str) -> bool:
    """Whether a tensor is a mark, or a scale that is not needed."""
    return key.endswith(MARK) or key.rpartition(".")[2] in (_OLD_MARK, *_UNUSED)


def _marked_layers(
    name: str, shapes: Mapping[str, torch.Size], metadata: Mapping[str, str], read_bytes: ReadBytes
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if METADATA in metadata:
        described = _json(name, METADATA, metadata[METADATA].encode()).get("layers")
        if not isinstance(described, dict):
            raise UnreadableWeights(f"{name!r} has {METADATA!r} metadata without layers")
        yield from described.items()
    for key in shapes:
        if key.endswith(MARK):
            yield key.removesuffix(MARK), _json(name, key, read_bytes(key))


def _json(name: str, key: str, text: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UnreadableWeights(f"{key!r} in {name!r} is not a JSON object that describes a quantisation")
    return found


def _entry(
    name: str, layer: str, settings: Any, shapes: Mapping[str, torch.Size], dtypes: Mapping[str, str]
) -> QuantizedEntry:
    kind = str(settings.get("format")) if isinstance(settings, dict) else "nothing"
    if kind not in _NEEDED:
        raise UnreadableWeights(
            f"{name!r} is quantised as {kind!r} in layer {layer!r}; supported are {', '.join(sorted(_NEEDED))}"
        )
    codes, needed, optional = _NEEDED[kind]
    keys = {part: f"{layer}.{part}" for part in (WEIGHT, *needed, *optional)}
    keys = {part: key for part, key in keys.items() if part not in optional or key in shapes}
    if missing := [key for key in keys.values() if key not in shapes]:
        raise UnreadableWeights(f"{name!r} says that layer {layer!r} is {kind!r}, but lacks {missing[0]!r}")
    for part, allowed in {WEIGHT: codes, **needed}.items():
        if allowed and (dtype := dtypes[keys[part]]) not in allowed:
            raise UnreadableWeights(
                f"{name!r} says that layer {layer!r} is {kind!r}, but {keys[part]!r} has the type {dtype}; "
                f"{' or '.join(allowed)} is expected"
            )
    return _checked(name, layer, _format(kind, settings), keys, shapes)


def _format(kind: str, settings: Mapping[str, Any]) -> QuantizedFormat:
    group = int(settings.get("convrot_groupsize", 256))
    match kind:
        case "int8_tensorwise":
            return formats.Int8(group if settings.get("convrot", False) else 0)
        case "nvfp4":
            return formats.Nvfp4()
        case "mxfp8":
            return formats.Mxfp8()
        case "asym_w4a8_int8":
            return formats.W4A8(int(settings.get("group_size", 16)), group)
        case "convrot_w4a4":
            return formats.W4A4(group)
    return formats.ScaledFloat8(kind)


def _checked(
    name: str, layer: str, format: QuantizedFormat, keys: Mapping[str, str], shapes: Mapping[str, torch.Size]
) -> QuantizedEntry:
    try:
        shape = format.shape({part: shapes[key] for part, key in keys.items()})
    except ValueError as error:
        raise UnreadableWeights(
            f"{name!r} says that layer {layer!r} is {format.name!r}, which does not match its tensors: {error}"
        ) from None
    return QuantizedEntry(format, shape, tuple((part, key, shapes[key]) for part, key in keys.items()))
