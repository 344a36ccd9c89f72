"""The encoders of T5 (Raffel et al. 2020, version 1.1) and UMT5 (Chung et al. 2023), under the names of their files.

Attention is not scaled; a learned bias for the distance of two tokens is added to its scores. T5 has one table of
biases, which all layers use; UMT5 has one in each layer.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from safelight.models.language.architecture import layer_count
from safelight.models.operations import Linear

BUCKETS = 32
FARTHEST = 128
"""Distances from here on are in one bucket."""
EPSILON = 1e-6


@dataclass(frozen=True)
class T5Shape:
    """An encoder as its weights show it."""

    vocabulary: int
    width: int
    heads: int
    head_width: int
    feed_forward: int
    layers: int
    is_gated: bool
    has_own_biases: bool
    """Whether each layer has its own table of biases (UMT5)."""


def t5_shape(shapes: Mapping[str, torch.Size]) -> T5Shape:
    """Raises :class:`KeyError` if a weight is missing."""
    first = "encoder.block.0.layer"
    vocabulary, width = shapes["shared.weight"]
    heads = shapes[f"{first}.0.SelfAttention.relative_attention_bias.weight"][1]
    is_gated = f"{first}.1.DenseReluDense.wi_0.weight" in shapes
    return T5Shape(
        vocabulary=vocabulary,
        width=width,
        heads=heads,
        head_width=shapes[f"{first}.0.SelfAttention.q.weight"][0] // heads,
        feed_forward=shapes[f"{first}.1.DenseReluDense.{'wi_0' if is_gated else 'wi'}.weight"][0],
        layers=layer_count(shapes, "encoder.block"),
        is_gated=is_gated,
        has_own_biases="encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight" in shapes,
    )


class T5Encoder(nn.Module):
    def __init__(self, shape: T5Shape) -> None:
        super().__init__()
        self.shared = nn.Embedding(shape.vocabulary, shape.width)
        self.encoder = _Stack(shape)

    def embedded(self, tokens: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.shared(tokens)
        return result

    def forward(self, embeddings: torch.Tensor, mask: torch.Tensor | None = None, *, layer: int = -1) -> torch.Tensor:
        """``embeddings [B, tokens, width]`` to outputs of that shape. ``mask [B, tokens]``: 0 for tokens that no other
        sees. ``layer``: the last layer to run, counted from the end; if there is none, all run."""
        result: torch.Tensor = self.encoder(embeddings, mask, layer)
        return result


class _Stack(nn.Module):
    def __init__(self, shape: T5Shape) -> None:
        super().__init__()
        self.block = nn.ModuleList(
            _Block(shape, has_bias=shape.has_own_biases or number == 0) for number in range(shape.layers)
        )
        self.final_layer_norm = _Norm(shape.width)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None, layer: int) -> torch.Tensor:
        count = len(self.block) + 1 + layer if abs(layer) <= len(self.block) else len(self.block)
        buckets = _buckets(x.shape[1]).to(x.device)
        hidden = None
        if mask is not None:
            hidden = (mask.to(x.device) == 0)[:, None, None]
        bias = torch.empty(0)
        for block in list(self.block)[:count]:
            attention: Any = block.layer[0].SelfAttention  # type: ignore[index, union-attr]
            if attention.has_bias:
                bias = attention.relative_attention_bias(buckets).permute(2, 0, 1)[None].to(x.dtype)
                if hidden is not None:
                    bias = bias.masked_fill(hidden, torch.finfo(x.dtype).min)
            x = block(x, bias)
        result: torch.Tensor = self.final_layer_norm(x)
        return result


class _Block(nn.Module):
    def __init__(self, shape: T5Shape, *, has_bias: bool) -> None:
        super().__init__()
        self.layer = nn.ModuleList([_AttentionLayer(shape, has_bias), _FeedForwardLayer(shape)])

    def forward(self, x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        x = x + self.layer[0](x, bias)
        result: torch.Tensor = x + self.layer[1](x)
        return result


class _AttentionLayer(nn.Module):
    def __init__(self, shape: T5Shape, has_bias: bool) -> None:
        super().__init__()
        self.SelfAttention = _Attention(shape, has_bias)
        self.layer_norm = _Norm(shape.width)

    def forward(self, x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.SelfAttention(self.layer_norm(x), bias)
        return result


class _Attention(nn.Module):
    def __init__(self, shape: T5Shape, has_bias: bool) -> None:
        super().__init__()
        inner = shape.heads * shape.head_width
        self.heads, self.has_bias = shape.heads, has_bias
        self.q = Linear(shape.width, inner, bias=False)
        self.k = Linear(shape.width, inner, bias=False)
        self.v = Linear(shape.width, inner, bias=False)
        self.o = Linear(inner, shape.width, bias=False)
        if has_bias:
            self.relative_attention_bias = nn.Embedding(BUCKETS, shape.heads)

    def forward(self, x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.q(x), self.k(x), self.v(x)))
        attended = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1.0)
        result: torch.Tensor = self.o(attended.transpose(1, 2).flatten(2))
        return result


class _FeedForwardLayer(nn.Module):
    def __init__(self, shape: T5Shape) -> None:
        super().__init__()
        self.DenseReluDense = _GatedFeedForward(shape) if shape.is_gated else _FeedForward(shape)
        self.layer_norm = _Norm(shape.width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.DenseReluDense(self.layer_norm(x))
        return result


class _GatedFeedForward(nn.Module):
    def __init__(self, shape: T5Shape) -> None:
        super().__init__()
        self.wi_0 = Linear(shape.width, shape.feed_forward, bias=False)
        self.wi_1 = Linear(shape.width, shape.feed_forward, bias=False)
        self.wo = Linear(shape.feed_forward, shape.width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.wo(functional.gelu(self.wi_0(x), approximate="tanh") * self.wi_1(x))
        return result


class _FeedForward(nn.Module):
    """That of the first version."""

    def __init__(self, shape: T5Shape) -> None:
        super().__init__()
        self.wi = Linear(shape.width, shape.feed_forward, bias=False)
        self.wo = Linear(shape.feed_forward, shape.width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.wo(functional.relu(self.wi(x)))
        return result


class _Norm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.rms_norm(x, self.weight.shape, self.weight, EPSILON)


def _buckets(tokens: int) -> torch.Tensor:
    """The bucket of the distance from each token to each other, ``[tokens, tokens]``: one half for tokens before, one
    for tokens after; in each, short distances have buckets of their own, and longer ones share logarithmically."""
    positions = torch.arange(tokens)
    distance = positions[None] - positions[:, None]
    half, exact = BUCKETS // 2, BUCKETS // 4
    far = distance.abs()
    shared = exact + (torch.log(far.float() / exact) / math.log(FARTHEST / exact) * (half - exact)).long()
    bucket = torch.where(far < exact, far, shared.clamp_max(half - 1))
    return bucket + (distance > 0) * half
