"""What the networks of LTX-Video and LTX-2 are made of: attention with norms over all heads, and adaptive layer norms
whose timestep may differ from token to token."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from safelight.models.families.ltx.positions import turned
from safelight.models.operations import Linear
from safelight.models.transformer.attention import attend, split_heads
from safelight.models.unet.unet_module import sinusoids

TIME_FEATURES = 256
EPSILON = 1e-6
NORM_EPSILON = 1e-5


def rms_norm(hidden: torch.Tensor) -> torch.Tensor:
    return functional.rms_norm(hidden, hidden.shape[-1:], eps=EPSILON)


class Attention(nn.Module):
    """``is_gated``: each head's result is scaled by up to 2, by a gate of the query's token."""

    def __init__(
        self, width: int, context: int, inner: int, *, heads: int, is_gated: bool = False, splits: bool = False
    ) -> None:
        super().__init__()
        self.heads, self.splits = heads, splits
        self.q_norm = nn.RMSNorm(inner, eps=NORM_EPSILON)
        self.k_norm = nn.RMSNorm(inner, eps=NORM_EPSILON)
        self.to_q = Linear(width, inner)
        self.to_k = Linear(context, inner)
        self.to_v = Linear(context, inner)
        self.to_out = nn.ModuleList([Linear(inner, width)])
        self.to_gate_logits = Linear(width, heads) if is_gated else None

    def forward(
        self,
        hidden: torch.Tensor,
        context: torch.Tensor | None = None,
        *,
        turns: torch.Tensor | None = None,
        context_turns: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        seen = hidden if context is None else context
        q = split_heads(self.q_norm(self.to_q(hidden)), self.heads)
        k = split_heads(self.k_norm(self.to_k(seen)), self.heads)
        v = split_heads(self.to_v(seen), self.heads)
        if turns is not None:
            q = turned(q, turns, splits=self.splits)
            k = turned(k, turns if context_turns is None else context_turns, splits=self.splits)
        attended = attend(q, k, v, mask=mask)
        if self.to_gate_logits is not None:
            gates = 2.0 * self.to_gate_logits(hidden).sigmoid()
            attended = (attended.reshape(*gates.shape, -1) * gates[..., None]).flatten(-2)
        result: torch.Tensor = self.to_out[0](attended)
        return result


class _GeluLayer(nn.Module):
    def __init__(self, width: int, inner: int, *, bias: bool) -> None:
        super().__init__()
        self.proj = Linear(width, inner, bias=bias)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return functional.gelu(self.proj(hidden), approximate="tanh")


class FeedForward(nn.Module):
    def __init__(self, width: int, inner: int, *, bias: bool = True) -> None:
        super().__init__()
        self.net = nn.Sequential(_GeluLayer(width, inner, bias=bias), nn.Identity(), Linear(inner, width, bias=bias))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.net(hidden)
        return result


class CaptionProjection(nn.Module):
    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.linear_1 = Linear(features, width)
        self.linear_2 = Linear(width, width)

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.linear_2(functional.gelu(self.linear_1(text), approximate="tanh"))
        return result


@dataclass(frozen=True, eq=False)
class Timesteps:
    """Timesteps of tokens: the different ones, ``values [n]``, and for each token which of them it has, ``index [B,
    1 or tokens]``. A video with a few noise-free frames has two timesteps, however many tokens it has."""

    values: torch.Tensor
    index: torch.Tensor

    @classmethod
    def of(cls, timesteps: torch.Tensor) -> "Timesteps":
        """``timesteps [B, 1 or tokens]``."""
        values, index = torch.unique(timesteps, return_inverse=True)
        return cls(values, index)

    def times(self, factor: float) -> "Timesteps":
        return Timesteps(self.values * factor, self.index)


@dataclass(frozen=True, eq=False)
class Modulations:
    """Numbers that scale, shift or gate, for each timestep: ``values [n, rows * width]``, and the ``index`` of
    :class:`Timesteps`."""

    values: torch.Tensor
    index: torch.Tensor

    def rows(self, table: torch.Tensor, first: int = 0, last: int | None = None) -> tuple[torch.Tensor, ...]:
        """Of each token, the rows from ``first`` to ``last`` added to those of a block's ``table [rows, width]``:
        ``[B, 1 or tokens, width]`` each."""
        chosen = self.values.reshape(-1, *table.shape)[:, first:last] + table[first:last].to(self.values.dtype)
        return tuple(row[self.index] for row in chosen.unbind(1))


class _TimestepLayers(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear_1 = Linear(TIME_FEATURES, width)
        self.linear_2 = Linear(width, width)


class _Embedder(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.timestep_embedder = _TimestepLayers(width)


class TimestepModulation(nn.Module):
    """From timesteps to ``rows`` modulations, and to the embedding that they come from (adaLN-single; Chen et al.,
    "PixArt-alpha", 2023, section 2.3)."""

    def __init__(self, width: int, rows: int) -> None:
        super().__init__()
        self.emb = _Embedder(width)
        self.linear = Linear(width, rows * width)

    def forward(self, timesteps: Timesteps) -> tuple[Modulations, Modulations]:
        layers = self.emb.timestep_embedder
        features = sinusoids(timesteps.values, TIME_FEATURES).to(self.linear.bias.dtype)
        embedding = layers.linear_2(functional.silu(layers.linear_1(features)))
        values = self.linear(functional.silu(embedding))
        return Modulations(values, timesteps.index), Modulations(embedding, timesteps.index)


def modulated(hidden: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """``hidden`` under an RMS norm, scaled and shifted."""
    return rms_norm(hidden) * (1 + scale) + shift


class Output(NamedTuple):
    """The last layers of one stream."""

    table: torch.Tensor
    projection: nn.Module

    def __call__(self, hidden: torch.Tensor, embedding: Modulations) -> torch.Tensor:
        shift, scale = (row + embedding.values[embedding.index] for row in self.table.to(hidden.dtype))
        normed = functional.layer_norm(hidden, hidden.shape[-1:], eps=EPSILON)
        result: torch.Tensor = self.projection(normed * (1 + scale) + shift)
        return result
