"""The names of Wan's modules in LoRA files: the file's own, and those of diffusers."""

import re
from collections.abc import Mapping

import torch

from safelight.models.lora.names import modules_of, normalized
from safelight.models.weight_layers import WeightPart

_DIFFUSERS = {
    "self_attn.q": "attn1.to_q",
    "self_attn.k": "attn1.to_k",
    "self_attn.v": "attn1.to_v",
    "self_attn.o": "attn1.to_out.0",
    "self_attn.norm_q": "attn1.norm_q",
    "self_attn.norm_k": "attn1.norm_k",
    "cross_attn.q": "attn2.to_q",
    "cross_attn.k": "attn2.to_k",
    "cross_attn.v": "attn2.to_v",
    "cross_attn.o": "attn2.to_out.0",
    "cross_attn.norm_q": "attn2.norm_q",
    "cross_attn.norm_k": "attn2.norm_k",
    "cross_attn.k_img": "attn2.add_k_proj",
    "cross_attn.v_img": "attn2.add_v_proj",
    "cross_attn.norm_k_img": "attn2.norm_added_k",
    "norm3": "norm2",
    "ffn.0": "ffn.net.0.proj",
    "ffn.2": "ffn.net.2",
}
_TOP_LEVEL = {
    "time_embedding.0": "condition_embedder.time_embedder.linear_1",
    "time_embedding.2": "condition_embedder.time_embedder.linear_2",
    "time_projection.1": "condition_embedder.time_proj",
    "text_embedding.0": "condition_embedder.text_embedder.linear_1",
    "text_embedding.2": "condition_embedder.text_embedder.linear_2",
    "img_emb.proj.0": "condition_embedder.image_embedder.norm1",
    "img_emb.proj.1": "condition_embedder.image_embedder.ff.net.0.proj",
    "img_emb.proj.3": "condition_embedder.image_embedder.ff.net.2",
    "img_emb.proj.4": "condition_embedder.image_embedder.norm2",
    "head.head": "proj_out",
}
_BLOCK = re.compile(r"((?:vace_)?blocks\.\d+)\.(.+)")


def wan_names(shapes: Mapping[str, torch.Size]) -> dict[str, WeightPart]:
    """See :attr:`safelight.models.network.Network.lora_names`."""
    names: dict[str, WeightPart] = {}
    for module in modules_of(shapes):
        for name in (module, _in_diffusers(module)):
            names[normalized(name)] = WeightPart(module)
            names.setdefault(normalized(name.removesuffix(".0")), WeightPart(module))
    for name in shapes:
        if name.endswith("modulation"):  # a weight outside of any layer
            names[normalized(name)] = WeightPart(name)
    return names


def _in_diffusers(module: str) -> str:
    found = _BLOCK.fullmatch(module)
    if found is None:
        return _TOP_LEVEL.get(module, module)
    return f"{found[1]}.{_DIFFUSERS.get(found[2], found[2])}"
