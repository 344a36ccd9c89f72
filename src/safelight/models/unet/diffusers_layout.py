"""Rename the weights of UNets and control networks from diffusers' layout to latent diffusion's."""

import re
from collections.abc import Mapping

from safelight.models.unet.diffusers_names import FIXED_MODULES, RESIDUAL_MODULES
from safelight.models.weights import Source, Weights

MARK = "down_blocks.0.resnets.0.norm1.weight"
"""A weight that every file of this layout has."""

_FIXED: Mapping[str, str] = {
    **{diffusers: original for original, diffusers in FIXED_MODULES.items()},
    "controlnet_mid_block": "middle_block_out.0",
    "controlnet_cond_embedding.conv_in": "input_hint_block.0",
    "controlnet_cond_embedding.conv_out": "input_hint_block.14",
}

_RESIDUAL: Mapping[str, str] = {diffusers: original for original, diffusers in RESIDUAL_MODULES.items()}

_BLOCK = re.compile(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)")
_MIDDLE = re.compile(r"mid_block\.(resnets|attentions)\.(\d+)\.(.+)")
_ZERO = re.compile(r"controlnet_down_blocks\.(\d+)")
_HINT = re.compile(r"controlnet_cond_embedding\.blocks\.(\d+)")


def in_original_layout(weights: Weights) -> Weights:
    """Unchanged if they already have the original names. Names that this layout lacks are left out."""
    if MARK not in weights:
        return weights
    columns = 1 + max(int(found[4]) for name in weights.sources if (found := _BLOCK.match(name)) and found[1] == "down")
    attends = {int(found[2]) for name in weights.sources if (found := _BLOCK.match(name)) and _is_up_attention(found)}
    renamed: dict[str, Source] = {}
    for name, source in weights.sources.items():
        module, _, kind = name.rpartition(".")
        if original := _original(module, columns, attends):
            renamed[f"{original}.{kind}"] = source
    return Weights(renamed)


def _is_up_attention(found: re.Match[str]) -> bool:
    return found[1] == "up" and found[3] == "attentions"


def _original(module: str, columns: int, attends: set[int]) -> str | None:
    """``columns``: residual blocks per level of the down path. ``attends``: levels of the up path with attention."""
    if module in _FIXED:
        return _FIXED[module]
    if found := _ZERO.fullmatch(module):
        return f"zero_convs.{found[1]}.0"
    if found := _HINT.fullmatch(module):
        return f"input_hint_block.{2 + 2 * int(found[1])}"
    if found := _MIDDLE.fullmatch(module):
        number = 2 * int(found[2]) if found[1] == "resnets" else 1
        return f"middle_block.{number}.{_inner(found[1], found[3])}"
    if found := _BLOCK.fullmatch(module):
        side, level, kind, column, inner = found[1], int(found[2]), found[3], int(found[4]), found[5]
        if side == "down":
            number = 1 + level * (columns + 1) + (columns if kind == "downsamplers" else column)
            part = {"resnets": "0", "attentions": "1", "downsamplers": "0"}[kind]
            return f"input_blocks.{number}.{part}.{_inner(kind, inner)}"
        number = level * (columns + 1) + (columns if kind == "upsamplers" else column)
        part = {"resnets": "0", "attentions": "1", "upsamplers": "2" if level in attends else "1"}[kind]
        return f"output_blocks.{number}.{part}.{_inner(kind, inner)}"
    return None


def _inner(kind: str, inner: str) -> str:
    if kind == "downsamplers":
        return "op"
    return _RESIDUAL.get(inner, inner) if kind == "resnets" else inner
