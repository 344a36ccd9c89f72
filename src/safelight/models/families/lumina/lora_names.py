"""The names of NextDiT's modules in LoRA files: the file's own, and those of diffusers, which keep query, key and value
apart."""

from collections.abc import Mapping

import torch

from safelight.models.lora.names import modules_of, normalized
from safelight.models.weight_layers import WeightPart

_OTHER_NAMES = {
    "attention.out": "attention.to_out.0",
    "attention.q_norm": "attention.norm_q",
    "attention.k_norm": "attention.norm_k",
}
_TOP_LEVEL = {
    "x_embedder": "all_x_embedder.2-1",
    "final_layer.linear": "all_final_layer.2-1.linear",
    "final_layer.adaLN_modulation.1": "all_final_layer.2-1.adaLN_modulation.1",
}


def nextdit_names(shapes: Mapping[str, torch.Size]) -> dict[str, WeightPart]:
    """See :attr:`safelight.models.network.Network.lora_names`."""
    names: dict[str, WeightPart] = {}
    for module in modules_of(shapes):
        names[normalized(module)] = WeightPart(module)
        if module in _TOP_LEVEL:
            names[normalized(_TOP_LEVEL[module])] = WeightPart(module)
        for own, other in _OTHER_NAMES.items():
            if module.endswith(own):
                spelled = normalized(module.removesuffix(own) + other)
                names[spelled] = names[spelled.removesuffix("_0")] = WeightPart(module)
        if module.endswith("attention.qkv"):
            rows, width = shapes[f"{module}.weight"]
            keys = (rows - width) // 2
            parts = {"to_q": (0, width), "to_k": (width, width + keys), "to_v": (width + keys, rows)}
            for part, chosen in parts.items():
                names[normalized(f"{module.removesuffix('qkv')}{part}")] = WeightPart(module, chosen)
    return names
