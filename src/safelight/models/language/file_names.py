"""The weights of language models and T5 in files, under the names of their networks: the prefixes of several layouts,
and the names that GGUF files have.
"""

import re
from collections.abc import Mapping

from safelight.models.tokenizers.finding import TENSORS
from safelight.models.weights import WeightFile, Weights

_GGUF_LAYER: Mapping[str, str] = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_GGUF_TOP: Mapping[str, str] = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}
_GGUF_T5_LAYER: Mapping[str, str] = {
    "attn_q": "layer.0.SelfAttention.q",
    "attn_k": "layer.0.SelfAttention.k",
    "attn_v": "layer.0.SelfAttention.v",
    "attn_o": "layer.0.SelfAttention.o",
    "attn_rel_b": "layer.0.SelfAttention.relative_attention_bias",
    "attn_norm": "layer.0.layer_norm",
    "ffn_gate": "layer.1.DenseReluDense.wi_0",
    "ffn_up": "layer.1.DenseReluDense.wi_1",
    "ffn_down": "layer.1.DenseReluDense.wo",
    "ffn_norm": "layer.1.layer_norm",
}
_GGUF_T5_TOP: Mapping[str, str] = {"token_embd": "shared", "enc.output_norm": "encoder.final_layer_norm"}
_GGUF_NAME = re.compile(r"(?P<encoder>enc\.)?blk\.(?P<layer>\d+)\.(?P<module>\w+)\.(?P<kind>weight|bias)")

_RENAMED = (
    ("model.language_model.", "model."),
    ("language_model.model.", "model."),
    ("model.visual.", "visual."),
)
"""How models with images name their parts, and how they are named here."""


def decoder_weights(file: WeightFile) -> Weights:
    """The weights of a decoder language model, and of its image encoder below ``visual.``; empty without one."""
    weights = _from_gguf(file.weights(), _GGUF_LAYER, _GGUF_TOP, "model.layers") if file.offsets else file.weights()
    renamed = {}
    for name, source in weights.sources.items():
        prefix, own = next((pair for pair in _RENAMED if name.startswith(pair[0])), ("", ""))
        renamed[own + name.removeprefix(prefix)] = source
    made = Weights(renamed)
    if not any(f"model.layers.0.{name}.weight" in made for name in ("self_attn.q_proj", "linear_attn.in_proj_qkv")):
        return Weights({})
    kept = [name for name in made.sources if name.startswith(("model.", "visual.", "lm_head.")) or name in TENSORS]
    return made.only(kept)


DECODER_KINDS: Mapping[str, str] = {
    "qwen3": "Qwen3",
    "qwen3_vl": "Qwen3-VL",
    "qwen35": "Qwen3.5",
    "qwen25_vl": "Qwen2.5",
    "gemma2": "Gemma 2",
    "gemma3": "Gemma 3",
    "mistral3": "Mistral Small 3",
    "llama3": "Llama 3",
}
"""The kinds of decoders that text encoder files contain, with their names in messages."""

_MISTRAL_VOCABULARY = 131072


def decoder_kind(weights: Weights) -> str:
    """Which of :data:`DECODER_KINDS` these weights are of, told by the norms and biases of the first layer. Their sizes
    do not count, so that models of all sizes are told."""
    first = "model.layers.0"
    if f"{first}.linear_attn.A_log" in weights:
        return "qwen35"
    norms_heads = f"{first}.self_attn.q_norm.weight" in weights
    if f"{first}.pre_feedforward_layernorm.weight" in weights:
        return "gemma3" if norms_heads else "gemma2"
    if norms_heads:
        has_images = any(name.startswith("visual.") for name in weights.sources)
        return "qwen3_vl" if has_images else "qwen3"
    if f"{first}.self_attn.q_proj.bias" in weights:
        return "qwen25_vl"
    vocabulary = weights.shapes["model.embed_tokens.weight"][0]
    return "mistral3" if "tekken_model" in weights or vocabulary == _MISTRAL_VOCABULARY else "llama3"


def t5_weights(file: WeightFile) -> Weights:
    """The weights of a T5 or UMT5 encoder; empty without one."""
    weights = (
        _from_gguf(file.weights(), _GGUF_T5_LAYER, _GGUF_T5_TOP, "encoder.block") if file.offsets else file.weights()
    )
    if "shared.weight" not in weights and "encoder.embed_tokens.weight" in weights:
        weights = weights | Weights({"shared.weight": weights.sources["encoder.embed_tokens.weight"]})
    if "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight" not in weights:
        return Weights({})
    return weights.only([n for n in weights.sources if n.startswith(("encoder.", "shared.")) or n in TENSORS])


def _from_gguf(weights: Weights, layer: Mapping[str, str], top: Mapping[str, str], prefix: str) -> Weights:
    renamed = {}
    for name, source in weights.sources.items():
        found = _GGUF_NAME.fullmatch(name)
        if found and found["module"] in layer and bool(found["encoder"]) == (layer is _GGUF_T5_LAYER):
            renamed[f"{prefix}.{found['layer']}.{layer[found['module']]}.{found['kind']}"] = source
            continue
        module, _, kind = name.rpartition(".")
        renamed[f"{top[module]}.{kind}" if module in top else name] = source
    return Weights(renamed)
