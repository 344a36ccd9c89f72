"""The names of Qwen-Image's modules in LoRA files: the file's own, which are those of diffusers."""

from collections.abc import Mapping

import torch

from safelight.models.lora.names import modules_of, normalized
from safelight.models.weight_layers import WeightPart


def qwen_image_names(shapes: Mapping[str, torch.Size]) -> dict[str, WeightPart]:
    """See :attr:`safelight.models.network.Network.lora_names`."""
    names: dict[str, WeightPart] = {}
    for module in modules_of(shapes):
        names[normalized(module)] = names[normalized(module.removesuffix(".0"))] = WeightPart(module)
    return names
