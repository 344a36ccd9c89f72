"""The names of a UNet's modules in two layouts: latent diffusion's (canonical here) and diffusers'.

A block's number does not show its level in the UNet; the level follows from the positions of the downsamplers and
upsamplers. It is read off the names themselves, so that it works for every depth (SD1, SD2, SDXL, its refiner, pruned
models).
"""

import re
from collections.abc import Iterable, Iterator, Mapping

FIXED_MODULES = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "label_emb.0.0": "add_embedding.linear_1",
    "label_emb.0.2": "add_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
"""Modules outside of the blocks: original name -> diffusers' name."""

RESIDUAL_MODULES = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
"""Modules inside a residual block: original name -> diffusers' name."""

_RESIDUAL_PREFIXES = {name.split(".")[0] for name in RESIDUAL_MODULES}

_BLOCK = re.compile(r"((?:input_blocks|output_blocks)\.\d+\.\d+|middle_block\.\d+)\.(.+)")


def diffusers_names(modules: Iterable[str]) -> dict[str, str]:
    """Map UNet modules in latent diffusion's layout to their names in diffusers.

    A module that the layout does not know (one that only a certain family has) is left out."""
    modules = list(modules)
    block_names = _block_names(modules)
    named = {ldm: name for ldm in modules if (name := FIXED_MODULES.get(ldm))}
    for ldm in modules:
        found = _BLOCK.fullmatch(ldm)
        if found and found[1] in block_names and ldm not in named:
            inner = RESIDUAL_MODULES.get(found[2], found[2]) if ".resnets." in block_names[found[1]] else found[2]
            named[ldm] = f"{block_names[found[1]]}.{'conv' if inner == 'op' else inner}"
    return named


def _block_names(modules: Iterable[str]) -> dict[str, str]:
    """The name of each block in diffusers' layout: ``input_blocks.4.1`` -> ``down_blocks.1.attentions.0``."""
    kinds: dict[str, str] = {}
    for ldm in modules:
        if found := _BLOCK.fullmatch(ldm):
            kinds.setdefault(found[1], _kind(found[2]))
    return {
        **dict(_levels(kinds, "input_blocks", "down_blocks")),
        **dict(_levels(kinds, "output_blocks", "up_blocks")),
        **dict(_middle(kinds)),
    }


def _kind(inner: str) -> str:
    if inner == "op":
        return "downsamplers"
    if inner == "conv":
        return "upsamplers"
    return "resnets" if inner.split(".")[0] in _RESIDUAL_PREFIXES else "attentions"


def _levels(kinds: Mapping[str, str], ldm_side: str, side: str) -> Iterator[tuple[str, str]]:
    blocks: dict[int, dict[int, str]] = {}
    for block, kind in kinds.items():
        name, *numbers = block.split(".")
        if name == ldm_side:
            blocks.setdefault(int(numbers[0]), {})[int(numbers[1])] = kind
    level = column = 0
    for number in sorted(blocks):
        kept = blocks[number]
        for inner, kind in sorted(kept.items()):
            index = 0 if kind.endswith("samplers") else column
            yield f"{ldm_side}.{number}.{inner}", f"{side}.{level}.{kind}.{index}"
        ends_level = any(kind.endswith("samplers") for kind in kept.values())
        level, column = (level + 1, 0) if ends_level else (level, column + 1)


def _middle(kinds: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    seen: dict[str, int] = {}
    for block in sorted(k for k in kinds if k.startswith("middle_block.")):
        kind = kinds[block]
        yield block, f"mid_block.{kind}.{seen.get(kind, 0)}"
        seen[kind] = seen.get(kind, 0) + 1
