"""The names of HunyuanVideo's modules in files: the published weights spell some otherwise than the network, and
LoRA files have either spelling or that of diffusers."""

from collections.abc import Mapping

import torch

from safelight.models.lora.names import modules_of, normalized
from safelight.models.transformer.stream_names import stream_names
from safelight.models.weight_layers import WeightPart
from safelight.models.weights import Weights

_SPELLED = (
    ("txt_in.t_embedder.mlp.0.", "txt_in.t_embedder.in_layer."),
    ("txt_in.t_embedder.mlp.2.", "txt_in.t_embedder.out_layer."),
    ("txt_in.c_embedder.linear_1.", "txt_in.c_embedder.in_layer."),
    ("txt_in.c_embedder.linear_2.", "txt_in.c_embedder.out_layer."),
    ("_mod.linear.", "_mod.lin."),
    ("_attn_qkv.", "_attn.qkv."),
    ("mlp.fc1.", "mlp.0."),
    ("mlp.fc2.", "mlp.2."),
    ("_attn_q_norm.weight", "_attn.norm.query_norm.scale"),
    ("_attn_k_norm.weight", "_attn.norm.key_norm.scale"),
    (".q_norm.weight", ".norm.query_norm.scale"),
    (".k_norm.weight", ".norm.key_norm.scale"),
    ("_attn_proj.", "_attn.proj."),
    (".modulation.linear.", ".modulation.lin."),
    ("_in.mlp.0.", "_in.in_layer."),
    ("_in.mlp.2.", "_in.out_layer."),
)
"""As published, and in the network."""
MARK = "txt_in.individual_token_refiner.blocks.0.norm1.weight"
"""A weight that only this family has."""


def in_network_layout(weights: Weights) -> Weights:
    """The weights under the network's names."""
    if MARK not in weights:
        return weights
    return Weights({_renamed(name): source for name, source in weights.sources.items()})


def _renamed(name: str) -> str:
    for published, own in _SPELLED:
        name = name.replace(published, own)
    return name


def hunyuan_video_names(shapes: Mapping[str, torch.Size]) -> dict[str, WeightPart]:
    """See :attr:`safelight.models.network.Network.lora_names`."""
    names = stream_names(shapes)
    for module in modules_of(shapes):
        published = f"{module}."
        for spelled, own in _SPELLED:
            published = published.replace(own, spelled)
        names.setdefault(normalized(published.removesuffix(".")), WeightPart(module))
    return names
