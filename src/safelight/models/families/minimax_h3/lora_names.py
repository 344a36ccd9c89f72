"""The names of MiniMax H3's modules in LoRA files: the file's own, and those of diffusers, where queries, keys and
values are apart."""

from collections.abc import Mapping

import torch

from safelight.models.lora.names import modules_of, normalized
from safelight.models.weight_layers import WeightPart

_DIFFUSERS = (
    ("token_refiner.blocks.", "token_refiner.refiner_blocks."),
    ("blocks.", "transformer_blocks."),
    ("video_patch_proj", "proj_in"),
    ("audio_patch_proj", "audio_proj_in"),
    ("condition_proj", "context_embedder"),
    ("final_layer.adaln_proj.linear", "norm_out.linear"),
    ("final_layer.video_out", "proj_out"),
    ("final_layer.audio_out", "audio_proj_out"),
)
_LAST = ((".attn.out_proj", ".attn.to_out.0"), (".mlp.fc2", ".ff.net.2"))


def h3_names(shapes: Mapping[str, torch.Size]) -> dict[str, WeightPart]:
    """See :attr:`safelight.models.network.Network.lora_names`."""
    names: dict[str, WeightPart] = {}
    for module in modules_of(shapes):
        names[normalized(module)] = WeightPart(module)
        theirs = next((new + module.removeprefix(old) for old, new in _DIFFUSERS if module.startswith(old)), module)
        for old, new in _LAST:
            theirs = theirs.replace(old, new)
        if module.endswith(".attn.qkv_proj"):
            rows = shapes[f"{module}.weight"][0] // 3
            for number, letter in enumerate("qkv"):
                name = theirs.replace("qkv_proj", f"to_{letter}")
                names[normalized(name)] = WeightPart(module, (number * rows, (number + 1) * rows))
        else:
            names.setdefault(normalized(theirs), WeightPart(module))
    return names
