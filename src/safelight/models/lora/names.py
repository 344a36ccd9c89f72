"""Which module of a network a LoRA file refers to: prefixes, and every spelling of a module's name.

Some dialects write ``_`` for ``.``. Separators are therefore ignored when names are compared; no two modules of a
supported network collide.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch

from safelight.models.unet.diffusers_names import diffusers_names
from safelight.models.weight_layers import WeightPart

Encoder = Literal["l", "g"]
"""CLIP L or OpenCLIP G: files refer to them by number or by letter."""


@dataclass(frozen=True, slots=True)
class LoraTarget:
    """The module that a LoRA key refers to: ``module`` with ``_`` for ``.``; ``encoder`` is ``None`` if the file has
    only one text encoder."""

    is_text: bool
    module: str
    encoder: Encoder | None = None


_TEXT = re.compile(
    r"(?:lora_te(?P<number>[12]?)|text_encoder(?P<second>_2)?|(?:text_encoders_)?clip_(?P<letter>[lgh])(?:_transformer)?)"
    r"_(?P<module>.+)"
)
_UNET = re.compile(
    r"(?:lora_unet|lycoris|unet|model_diffusion_model|diffusion_model|(?:lora_)?transformer(?!_blocks))_+(?P<module>.+)"
)

_LANGUAGE = re.compile(r"text_encoders_(?:[a-z0-9_]+?_)?(?:transformer_)?(?P<module>model_.+)")
"""A module of a language model that is a text encoder: ``text_encoders.gemma3_12b.transformer.model.layers.0``."""
_LANGUAGE_WEIGHT = re.compile(r"[^.]+\.model\.layers\.\d+\..+")

_ATTENTION_OF_OLD_FILES = {"q_proj": "to_q", "k_proj": "to_k", "v_proj": "to_v", "out_proj": "to_out"}


def lora_target(module: str) -> LoraTarget:
    """The target of a module name in a file. A name without a known prefix is taken to be of a diffusion network."""
    name = normalized(module.removeprefix("transformer.")).removeprefix("base_model_model_").replace("_processor_", "_")
    if text := _TEXT.fullmatch(name):
        return LoraTarget(True, text["module"], _encoder(text))
    if language := _LANGUAGE.fullmatch(name):
        return LoraTarget(True, language["module"])
    unet = _UNET.fullmatch(name)
    return LoraTarget(False, unet["module"] if unet else name)


def own_names(shapes: Mapping[str, torch.Size]) -> dict[str, WeightPart]:
    """For networks whose LoRA files use the names of the original file."""
    return {normalized(module): WeightPart(module) for module in modules_of(shapes)}


def unet_names(shapes: Mapping[str, torch.Size]) -> dict[str, WeightPart]:
    """From each spelling of a UNet module to its canonical name."""
    modules = modules_of(shapes)
    spellings = {normalized(module): module for module in modules}
    for module, name in diffusers_names(modules).items():
        spellings[normalized(name)] = module
        spellings.setdefault(normalized(name.removesuffix(".0")), module)  # old files write "to_out"
    return {spelling: WeightPart(module) for spelling, module in spellings.items()}


def text_modules(weights: Iterable[str]) -> dict[Encoder | None, Mapping[str, str]]:
    """For each way to name an encoder, from each spelling of a module in it to its canonical name.

    ``weights`` of several encoders have their letters in the prefixes (``clip_l.``); a single encoder may have none."""
    weights = list(weights)
    roots = list(dict.fromkeys(name[: name.index("text_model.")] for name in weights if "text_model." in name))
    modules = {root: _spellings(root, [name for name in weights if name.startswith(root)]) for root in roots}
    if not modules:
        language = modules_of(name for name in weights if _LANGUAGE_WEIGHT.fullmatch(name))
        return {None: {normalized(module.partition(".")[2]): module for module in language}}
    first, last = roots[0], roots[-1]
    large = next((root for root in roots if "clip_l" in root), first)
    return {None: modules[large], "l": modules[large], "g": modules[next((r for r in roots if "clip_g" in r), last)]}


def _spellings(root: str, weights: Iterable[str]) -> dict[str, str]:
    spellings = {}
    for module in modules_of(weights):
        name = module.removeprefix(root)
        spellings[normalized(name)] = module
        parent, _, last = name.rpartition(".")
        if old := _ATTENTION_OF_OLD_FILES.get(last):
            spellings[normalized(f"{parent}.{old}")] = module
    return spellings


def _encoder(text: re.Match[str]) -> Encoder | None:
    if text["number"] == "2" or text["second"] or text["letter"] == "g":
        return "g"
    return "l" if text["number"] or text["letter"] == "l" else None


def modules_of(weights: Iterable[str]) -> list[str]:
    """The modules that own these weights."""
    return list(dict.fromkeys(name.rpartition(".")[0] for name in weights))


def normalized(name: str) -> str:
    """The name with ``_`` for ``.``."""
    return name.replace(".", "_")
