"""The decoder of language models: Qwen 2.5 to 3.5, Mistral, Llama and Gemma, under the names of their files.

Layers are counted as states: state 0 is the embeddings, state ``n`` the output of ``n`` layers. The final norm is not
part of a state.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from safelight.models.language.architecture import DecoderShape
from safelight.models.language.cache import KeyValueCache
from safelight.models.language.gated_delta import GatedDelta
from safelight.models.language.rotary import rotated
from safelight.models.operations import Linear

Angles = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True, eq=False)
class DecoderOutput:
    """``final``: the last state under the final norm, ``[B, tokens, width]``; ``states``: those that were requested."""

    final: torch.Tensor
    states: Mapping[int, torch.Tensor]


class Norm(nn.Module):
    """RMS norm (Zhang and Sennrich 2019); with ``adds_one``, the weight is a distance from 1."""

    def __init__(self, width: int, epsilon: float, adds_one: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))
        self.epsilon, self.adds_one = epsilon, adds_one

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = self.weight + 1.0 if self.adds_one else self.weight
        return functional.rms_norm(x, weight.shape, weight, self.epsilon)


class Attention(nn.Module):
    """Causal attention in which several heads share keys and values (Ainslie et al. 2023)."""

    def __init__(self, shape: DecoderShape) -> None:
        super().__init__()
        self.head_width = shape.head_width
        queries, keys = shape.heads * shape.head_width, shape.key_heads * shape.head_width
        self.gates = shape.gates_heads
        self.q_proj = Linear(shape.width, queries * (2 if self.gates else 1), bias=shape.has_bias)
        self.k_proj = Linear(shape.width, keys, bias=shape.has_bias)
        self.v_proj = Linear(shape.width, keys, bias=shape.has_bias)
        self.o_proj = Linear(queries, shape.width, bias=False)
        if shape.norms_heads:
            self.q_norm = _norm(shape, shape.head_width)
            self.k_norm = _norm(shape, shape.head_width)

    def forward(
        self, x: torch.Tensor, angles: Angles, mask: torch.Tensor | None, cache: KeyValueCache | None, layer: int
    ) -> torch.Tensor:
        queries, gate = self.q_proj(x), None
        if self.gates:
            halves = queries.unflatten(-1, (-1, 2, self.head_width))
            queries, gate = (half.flatten(-2) for half in halves.unbind(-2))
        q, k, v = (
            projected.unflatten(-1, (-1, self.head_width)).transpose(1, 2)
            for projected in (queries, self.k_proj(x), self.v_proj(x))
        )
        if hasattr(self, "q_norm"):
            q, k = self.q_norm(q), self.k_norm(k)
        q, k = rotated(q, angles), rotated(k, angles)
        if cache is not None:
            k, v = cache.extended(layer, k, v)
        attended = functional.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=mask is None and q.shape[2] > 1, enable_gqa=True
        )
        attended = attended.transpose(1, 2).flatten(2)
        result: torch.Tensor = self.o_proj(attended if gate is None else attended * gate.sigmoid())
        return result


class FeedForward(nn.Module):
    """Gated (Shazeer 2020)."""

    def __init__(self, shape: DecoderShape) -> None:
        super().__init__()
        self.gate_proj = Linear(shape.width, shape.feed_forward, bias=False)
        self.up_proj = Linear(shape.width, shape.feed_forward, bias=False)
        self.down_proj = Linear(shape.feed_forward, shape.width, bias=False)
        self.is_gelu = shape.architecture.activation == "gelu_tanh"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate = self.gate_proj(x)
        gate = functional.gelu(gate, approximate="tanh") if self.is_gelu else functional.silu(gate)
        result: torch.Tensor = self.down_proj(gate * self.up_proj(x))
        return result


class Layer(nn.Module):
    def __init__(self, shape: DecoderShape, number: int) -> None:
        super().__init__()
        self.is_recurrent = shape.recurrent is not None and number in shape.recurrent.layers
        if shape.recurrent is not None and self.is_recurrent:
            self.linear_attn = GatedDelta(shape.width, shape.recurrent, shape.architecture.epsilon)
        else:
            self.self_attn = Attention(shape)
        self.mlp = FeedForward(shape)
        self.input_layernorm = _norm(shape, shape.width)
        self.post_attention_layernorm = _norm(shape, shape.width)
        self.norms_outputs = shape.norms_outputs
        if shape.norms_outputs:
            self.pre_feedforward_layernorm = _norm(shape, shape.width)
            self.post_feedforward_layernorm = _norm(shape, shape.width)

    def forward(
        self, x: torch.Tensor, angles: Angles, mask: torch.Tensor | None, cache: KeyValueCache | None, layer: int
    ) -> torch.Tensor:
        read = self.input_layernorm(x)
        if self.is_recurrent:
            attended = self.linear_attn(read, cache, layer)
        else:
            attended = self.self_attn(read, angles, mask, cache, layer)
        result: torch.Tensor
        if not self.norms_outputs:
            x = x + attended
            result = x + self.mlp(self.post_attention_layernorm(x))
            return result
        x = x + self.post_attention_layernorm(attended)
        result = x + self.post_feedforward_layernorm(self.mlp(self.pre_feedforward_layernorm(x)))
        return result


class _Stack(nn.Module):
    def __init__(self, shape: DecoderShape) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(Layer(shape, number) for number in range(shape.layers))
        if shape.has_final_norm:
            self.norm = _norm(shape, shape.width)


class Decoder(nn.Module):
    """A decoder language model."""

    def __init__(self, shape: DecoderShape) -> None:
        super().__init__()
        self.shape = shape
        self.model = _Stack(shape)
        if shape.has_head:
            self.lm_head = Linear(shape.width, shape.vocabulary, bias=False)

    def embedded(self, tokens: torch.Tensor) -> torch.Tensor:
        """The embeddings ``[B, tokens, width]`` of token numbers, unscaled."""
        result: torch.Tensor = self.model.embed_tokens(tokens)
        return result

    def forward(
        self,
        embeddings: torch.Tensor,
        *,
        mask: torch.Tensor | None = None,
        positions: torch.Tensor | None = None,
        states: Collection[int] = (),
        cache: KeyValueCache | None = None,
        added: Mapping[int, torch.Tensor] | None = None,
    ) -> DecoderOutput:
        """``embeddings [B, tokens, width]`` from :meth:`embedded`. ``mask [B, tokens]``: 0 for tokens that no other
        sees. ``positions [tokens]`` or ``[3, tokens]``; by default those after the cached tokens. ``states``: the
        states to return. ``added``: ``[B, tokens, width]`` to add to a state before the next layer."""
        x = embeddings * self.shape.width**0.5 if self.shape.architecture.scales_embeddings else embeddings
        seen = 0 if cache is None else cache.length
        if positions is None:
            positions = torch.arange(seen, seen + x.shape[1], device=x.device)
        rotaries = self.shape.architecture.rotary
        angles = {rotary: rotary.angles(positions, self.shape.head_width) for rotary in set(rotaries)}
        angles = {rotary: (cosines.to(x), sines.to(x)) for rotary, (cosines, sines) in angles.items()}
        windows = self.shape.architecture.windows
        masks = {window: _mask(x, mask, seen, window) for window in set(windows)}
        kept: dict[int, torch.Tensor] = {}
        for number, layer in enumerate(self.model.layers):
            if number in states:
                kept[number] = x
            x = layer(x, angles[rotaries[number % len(rotaries)]], masks[windows[number % len(windows)]], cache, number)
            if added is not None and number in added:
                x = x + added[number]
        if self.shape.layers in states:
            kept[self.shape.layers] = x
        if cache is not None:
            cache.length = seen + x.shape[1]
        return DecoderOutput(self.model.norm(x) if self.shape.has_final_norm else x, kept)

    def logits(self, final: torch.Tensor) -> torch.Tensor:
        """Scores of the next token, ``[..., vocabulary]``."""
        if self.shape.has_head:
            scores: torch.Tensor = self.lm_head(final)
            return scores
        table = self.model.embed_tokens
        weight = table.weight if isinstance(table, nn.Embedding) else table.dequantized().to(final.dtype)
        return functional.linear(final, weight)


def _norm(shape: DecoderShape, width: int) -> Norm:
    return Norm(width, shape.architecture.epsilon, shape.architecture.adds_one)


def _mask(x: torch.Tensor, mask: torch.Tensor | None, seen: int, window: int) -> torch.Tensor | None:
    """What is added to the scores ``[B, 1, tokens, seen + tokens]``; ``None`` if plain causal attention does it."""
    tokens = x.shape[1]
    total = seen + tokens
    is_windowed = 0 < window < total
    if mask is None and not is_windowed and (seen == 0 or tokens == 1):
        return None
    rows = torch.arange(seen, total, device=x.device)[:, None]
    columns = torch.arange(total, device=x.device)[None]
    allowed = columns <= rows
    if is_windowed:
        allowed = allowed & (columns > rows - window)
    if mask is None:
        allowed = allowed[None, None]
    else:
        allowed = allowed[None, None] & mask.to(x.device, torch.bool)[:, None, None]
    # A large number instead of infinity: a token that sees nothing would otherwise become NaN.
    return torch.where(allowed, 0.0, torch.finfo(x.dtype).min).to(x.dtype)
