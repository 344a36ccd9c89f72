"""The names of modules in LoRA files for networks of double and single blocks: the file's own, and those of diffusers,
which keep query, key and value apart."""

from collections.abc import Mapping

import torch

from safelight.models.lora.names import modules_of, normalized
from safelight.models.weight_layers import WeightPart

_DOUBLE = {
    "img_attn.proj": "attn.to_out.0",
    "txt_attn.proj": "attn.to_add_out",
    "img_mod.lin": "norm1.linear",
    "txt_mod.lin": "norm1_context.linear",
    "img_mlp.0": "ff.net.0.proj",
    "img_mlp.2": "ff.net.2",
    "txt_mlp.0": "ff_context.net.0.proj",
    "txt_mlp.2": "ff_context.net.2",
}
_DOUBLE_GATED = {
    "img_mlp.0": "ff.linear_in",
    "img_mlp.2": "ff.linear_out",
    "txt_mlp.0": "ff_context.linear_in",
    "txt_mlp.2": "ff_context.linear_out",
}
_FUSED = {
    "img_attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "txt_attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
}
_TOP_LEVEL = {
    "img_in": "x_embedder",
    "txt_in": "context_embedder",
    "time_in.in_layer": "time_text_embed.timestep_embedder.linear_1",
    "time_in.out_layer": "time_text_embed.timestep_embedder.linear_2",
    "vector_in.in_layer": "time_text_embed.text_embedder.linear_1",
    "vector_in.out_layer": "time_text_embed.text_embedder.linear_2",
    "guidance_in.in_layer": "time_text_embed.guidance_embedder.linear_1",
    "guidance_in.out_layer": "time_text_embed.guidance_embedder.linear_2",
    "final_layer.linear": "proj_out",
}


def stream_names(shapes: Mapping[str, torch.Size]) -> dict[str, WeightPart]:
    """See :attr:`safelight.models.network.Network.lora_names`."""
    names: dict[str, WeightPart] = {}
    for module in modules_of(shapes):
        names[normalized(module)] = WeightPart(module)
        for other, part in _parts(module, shapes):
            names[normalized(other)] = part
            names.setdefault(normalized(other.removesuffix(".0")), part)
    return names


def _parts(module: str, shapes: Mapping[str, torch.Size]) -> list[tuple[str, WeightPart]]:
    if module in _TOP_LEVEL:
        return [(_TOP_LEVEL[module], WeightPart(module))]
    kind, _, rest = module.partition(".")
    number, _, name = rest.partition(".")
    if kind == "double_blocks":
        block = f"transformer_blocks.{number}"
        if name in _FUSED:
            width = shapes[f"{module}.weight"][0] // 3
            thirds = [WeightPart(module, (index * width, (index + 1) * width)) for index in range(3)]
            return [(f"{block}.{other}", part) for other, part in zip(_FUSED[name], thirds, strict=True)]
        others = (spelled[name] for spelled in (_DOUBLE, _DOUBLE_GATED) if name in spelled)
        return [(f"{block}.{other}", WeightPart(module)) for other in others]
    if kind == "single_blocks":
        return _single(module, f"single_transformer_blocks.{number}", name, shapes)
    return []


def _single(module: str, block: str, name: str, shapes: Mapping[str, torch.Size]) -> list[tuple[str, WeightPart]]:
    if name == "linear1":
        rows, width = shapes[f"{module}.weight"]
        starts = [0, width, 2 * width, 3 * width, rows]
        parts = [WeightPart(module, (starts[index], starts[index + 1])) for index in range(4)]
        others = ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")
        fused = (f"{block}.attn.to_qkv_mlp_proj", WeightPart(module))
        return [fused, *((f"{block}.{other}", part) for other, part in zip(others, parts, strict=True))]
    if name == "linear2":
        return [(f"{block}.proj_out", WeightPart(module)), (f"{block}.attn.to_out", WeightPart(module))]
    return [(f"{block}.norm.linear", WeightPart(module))] if name == "modulation.lin" else []
