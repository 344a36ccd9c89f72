"""The names of the modules of Stable Diffusion 3 in LoRA files: the file's own, and those of diffusers, which keep
query, key and value apart."""

from collections.abc import Mapping

import torch

from safelight.models.lora.names import modules_of, normalized
from safelight.models.weight_layers import WeightPart

_FUSED = {
    "x_block.attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "x_block.attn2.qkv": ("attn2.to_q", "attn2.to_k", "attn2.to_v"),
    "context_block.attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
}
_WHOLE = {
    "x_block.attn.proj": "attn.to_out.0",
    "x_block.attn2.proj": "attn2.to_out.0",
    "context_block.attn.proj": "attn.to_add_out",
    "x_block.mlp.fc1": "ff.net.0.proj",
    "x_block.mlp.fc2": "ff.net.2",
    "context_block.mlp.fc1": "ff_context.net.0.proj",
    "context_block.mlp.fc2": "ff_context.net.2",
    "x_block.adaLN_modulation.1": "norm1.linear",
    "context_block.adaLN_modulation.1": "norm1_context.linear",
}
_TOP_LEVEL = {
    "x_embedder.proj": "pos_embed.proj",
    "context_embedder": "context_embedder",
    "t_embedder.mlp.0": "time_text_embed.timestep_embedder.linear_1",
    "t_embedder.mlp.2": "time_text_embed.timestep_embedder.linear_2",
    "y_embedder.mlp.0": "time_text_embed.text_embedder.linear_1",
    "y_embedder.mlp.2": "time_text_embed.text_embedder.linear_2",
    "final_layer.linear": "proj_out",
}


def mmdit_names(shapes: Mapping[str, torch.Size]) -> dict[str, WeightPart]:
    """See :attr:`safelight.models.network.Network.lora_names`."""
    names: dict[str, WeightPart] = {}
    for module in modules_of(shapes):
        names[normalized(module)] = WeightPart(module)
        if module in _TOP_LEVEL:
            names[normalized(_TOP_LEVEL[module])] = WeightPart(module)
        _, _, rest = module.partition("joint_blocks.")
        number, _, own = rest.partition(".")
        block = f"transformer_blocks.{number}"
        if own in _WHOLE:
            other = f"{block}.{_WHOLE[own]}"
            names[normalized(other)] = names[normalized(other.removesuffix(".0"))] = WeightPart(module)
        if own in _FUSED:
            rows = shapes[f"{module}.weight"][0] // 3
            for index, name in enumerate(_FUSED[own]):
                names[normalized(f"{block}.{name}")] = WeightPart(module, (index * rows, (index + 1) * rows))
    return names
