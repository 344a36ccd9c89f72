"""Rename text encoder weights from the layouts of files to transformers' names."""

import re
from collections.abc import Mapping
from dataclasses import replace

from safelight.models.weights import Source, Weights

_TRANSFORMERS = re.compile(r"text_model\.(?!embeddings\.position_ids)|text_projection\.weight")

OPEN_CLIP_LAYER: Mapping[str, str] = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
"""Modules of a layer: OpenCLIP's name -> transformers' name."""

OPEN_CLIP_TOP_LEVEL: Mapping[str, str] = {
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
}
"""Weights outside of the layers: OpenCLIP's name -> transformers' name."""

_BLOCK = re.compile(r"transformer\.resblocks\.(\d+)\.(.+)\.(weight|bias)")
_FUSED = re.compile(r"transformer\.resblocks\.(\d+)\.attn\.in_proj_(weight|bias)")


def clip_weights(weights: Weights) -> Weights:
    """The weights of :class:`safelight.models.text.encoder_module.ClipText`; empty if these are not a CLIP text
    encoder's. The prefix ``text_model.`` may be missing, as in the oldest files."""
    if "positional_embedding" in weights:
        return _of_open_clip(weights)
    if "embeddings.token_embedding.weight" in weights:
        weights = weights.prefixed("text_model.")
    if "text_model.embeddings.token_embedding.weight" not in weights:
        return Weights({})
    return weights.only([name for name in weights.sources if _TRANSFORMERS.match(name)])


def _of_open_clip(weights: Weights) -> Weights:
    named: dict[str, Source] = {}
    for name, source in weights.sources.items():
        if name in OPEN_CLIP_TOP_LEVEL:
            named[OPEN_CLIP_TOP_LEVEL[name]] = source
        elif name == "text_projection":
            named["text_projection.weight"] = replace(source, transposed=True)
        elif fused := _FUSED.fullmatch(name):
            rows = source.shape[0] // 3
            for index, part in enumerate("qkv"):
                target = f"text_model.encoder.layers.{fused[1]}.self_attn.{part}_proj.{fused[2]}"
                named[target] = replace(source, rows=(index * rows, (index + 1) * rows))
        elif (block := _BLOCK.fullmatch(name)) and block[2] in OPEN_CLIP_LAYER:
            named[f"text_model.encoder.layers.{block[1]}.{OPEN_CLIP_LAYER[block[2]]}.{block[3]}"] = source
    return Weights(named)
