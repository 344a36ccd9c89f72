"""What is known about a decoder language model besides its weights, and what its weights show.

Depth, widths, heads, biases and norms are read off the weights' shapes. The rest is in one value for each
architecture.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch

from safelight.models.language.rotary import Rotary

Activation = Literal["silu", "gelu_tanh"]


@dataclass(frozen=True)
class LanguageArchitecture:
    """``head_width``: unless a norm of heads shows it. ``rotary``: of each layer, repeated; ``windows``: how many
    tokens each layer sees, repeated, 0 for all. ``adds_one``: norms multiply by 1 + weight. ``scales_embeddings``: by
    the root of the width."""

    name: str
    rotary: tuple[Rotary, ...]
    epsilon: float = 1e-6
    head_width: int = 128
    activation: Activation = "silu"
    windows: tuple[int, ...] = (0,)
    adds_one: bool = False
    scales_embeddings: bool = False


@dataclass(frozen=True)
class DecoderShape:
    """A decoder as its weights show it."""

    architecture: LanguageArchitecture
    vocabulary: int
    width: int
    feed_forward: int
    layers: int
    heads: int
    key_heads: int
    head_width: int
    has_bias: bool
    norms_heads: bool
    norms_outputs: bool
    """Whether the outputs of attention and feed-forward are normalised as well as their inputs (Gemma)."""
    has_final_norm: bool = True
    has_head: bool = False
    """Whether the last layer of the language model is apart from the embeddings."""
    gates_heads: bool = False
    """Whether what attention reads is multiplied by a gate, whose projection is part of the queries' (Qwen3.5)."""
    recurrent: "RecurrentShape | None" = None

    def without_head(self) -> "DecoderShape":
        return replace(self, has_head=False)


@dataclass(frozen=True)
class RecurrentShape:
    """The layers with linear attention. ``layers``: their numbers; ``width``: of a head, keys and values alike;
    ``kernel``: tokens that the convolution before it sees."""

    layers: frozenset[int]
    key_heads: int
    value_heads: int
    width: int
    kernel: int


def decoder_shape(shapes: Mapping[str, torch.Size], architecture: LanguageArchitecture) -> DecoderShape:
    """The shape of the decoder below ``model.``. Raises :class:`KeyError` if a weight is missing."""
    recurrent = _recurrent_shape(shapes)
    count = layer_count(shapes, "model.layers")
    whole = next(number for number in range(count + 1) if recurrent is None or number not in recurrent.layers)
    layer = f"model.layers.{whole}"
    vocabulary, width = shapes["model.embed_tokens.weight"]
    norm = shapes.get(f"{layer}.self_attn.q_norm.weight")
    head_width = architecture.head_width if norm is None else norm[0]
    read = shapes[f"{layer}.self_attn.o_proj.weight"][1]
    return DecoderShape(
        architecture=architecture,
        vocabulary=vocabulary,
        width=width,
        feed_forward=shapes[f"{layer}.mlp.gate_proj.weight"][0],
        layers=count,
        heads=read // head_width,
        key_heads=shapes[f"{layer}.self_attn.k_proj.weight"][0] // head_width,
        head_width=head_width,
        has_bias=f"{layer}.self_attn.q_proj.bias" in shapes,
        norms_heads=norm is not None,
        norms_outputs=f"{layer}.pre_feedforward_layernorm.weight" in shapes,
        has_final_norm="model.norm.weight" in shapes,
        has_head="lm_head.weight" in shapes,
        gates_heads=shapes[f"{layer}.self_attn.q_proj.weight"][0] == 2 * read,
        recurrent=recurrent,
    )


def _recurrent_shape(shapes: Mapping[str, torch.Size]) -> RecurrentShape | None:
    layers = frozenset(int(found[1]) for name in shapes if (found := _RECURRENT.fullmatch(name)))
    if not layers:
        return None
    first = f"model.layers.{min(layers)}.linear_attn"
    (heads,), (width,) = shapes[f"{first}.A_log"], shapes[f"{first}.norm.weight"]
    projected = shapes[f"{first}.in_proj_qkv.weight"][0]
    keys = (projected - heads * width) // 2
    return RecurrentShape(layers, keys // width, heads, width, shapes[f"{first}.conv1d.weight"][-1])


_RECURRENT = re.compile(r"model\.layers\.(\d+)\.linear_attn\.A_log")


def layer_count(shapes: Mapping[str, torch.Size], prefix: str) -> int:
    """The number of layers ``<prefix>.<number>.``."""
    numbered = re.compile(re.escape(prefix) + r"\.(\d+)\.")
    return 1 + max((int(found[1]) for name in shapes if (found := numbered.match(name))), default=-1)


QWEN3 = LanguageArchitecture("Qwen3", (Rotary(1_000_000.0),))
QWEN25 = LanguageArchitecture("Qwen2.5", (Rotary(1_000_000.0),))
QWEN25_VL = LanguageArchitecture("Qwen2.5-VL", (Rotary(1_000_000.0, sections=(16, 24, 24)),))
QWEN3_VL = LanguageArchitecture("Qwen3-VL", (Rotary(5_000_000.0, sections=(24, 20, 20), interleaves=True),))
QWEN35 = LanguageArchitecture(
    "Qwen3.5",
    (Rotary(10_000_000.0, sections=(11, 11, 10), interleaves=True, share=0.25),),
    head_width=256,
    adds_one=True,
)
MISTRAL3 = LanguageArchitecture("Mistral Small 3", (Rotary(1_000_000_000.0),), epsilon=1e-5)
LLAMA3 = LanguageArchitecture("Llama 3", (Rotary(500_000.0),), epsilon=1e-5)
GEMMA2 = LanguageArchitecture(
    "Gemma 2", (Rotary(10_000.0),), head_width=256, activation="gelu_tanh", adds_one=True, scales_embeddings=True
)
"""Without the caps on attention and logits that the model was trained with: ComfyUI's numbers (MODEL-20)."""
GEMMA3 = replace(
    GEMMA2,
    name="Gemma 3",
    rotary=(*[Rotary(10_000.0)] * 5, Rotary(1_000_000.0, scale=8.0)),
    windows=(1024,) * 5 + (0,),
)
