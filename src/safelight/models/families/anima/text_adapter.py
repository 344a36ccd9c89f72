"""The adapter between a language model and the transformer: tokens of T5 become embeddings, which attend to each other
and to the language model's states. Positions are counted in each of the two.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from safelight.models.operations import Linear
from safelight.models.transformer.attention import split_heads

THETA = 10_000.0
EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class AdapterShape:
    """``source``: features of the language model's states; ``out``: of the embeddings that it makes."""

    vocabulary: int
    source: int
    width: int
    out: int
    heads: int
    inner: int
    layers: int


class TextAdapter(nn.Module):
    def __init__(self, shape: AdapterShape) -> None:
        super().__init__()
        self.embed = nn.Embedding(shape.vocabulary, shape.out)
        self.in_proj = nn.Identity() if shape.width == shape.out else Linear(shape.out, shape.width)
        self.blocks = nn.ModuleList(_Block(shape) for _ in range(shape.layers))
        self.out_proj = Linear(shape.width, shape.out)
        self.norm = nn.RMSNorm(shape.out, eps=EPSILON)

    def forward(self, states: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """``states [B, n, source]`` and ``tokens [B, m]`` to ``[B, m, out]``."""
        hidden = self.in_proj(self.embed(tokens).to(states.dtype))
        for block in self.blocks:
            hidden = block(hidden, states)
        result: torch.Tensor = self.norm(self.out_proj(hidden))
        return result


class _Attention(nn.Module):
    def __init__(self, width: int, source: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = Linear(width, width, bias=False)
        self.k_proj = Linear(source, width, bias=False)
        self.v_proj = Linear(source, width, bias=False)
        self.o_proj = Linear(width, width, bias=False)
        self.q_norm = nn.RMSNorm(width // heads, eps=EPSILON)
        self.k_norm = nn.RMSNorm(width // heads, eps=EPSILON)

    def forward(self, hidden: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        q = _turned(self.q_norm(split_heads(self.q_proj(hidden), self.heads)))
        k = _turned(self.k_norm(split_heads(self.k_proj(source), self.heads)))
        attended = functional.scaled_dot_product_attention(q, k, split_heads(self.v_proj(source), self.heads))
        result: torch.Tensor = self.o_proj(attended.transpose(1, 2).flatten(-2))
        return result


class _Block(nn.Module):
    def __init__(self, shape: AdapterShape) -> None:
        super().__init__()
        width = shape.width
        self.norm_self_attn = nn.RMSNorm(width, eps=EPSILON)
        self.self_attn = _Attention(width, width, shape.heads)
        self.norm_cross_attn = nn.RMSNorm(width, eps=EPSILON)
        self.cross_attn = _Attention(width, shape.source, shape.heads)
        self.norm_mlp = nn.RMSNorm(width, eps=EPSILON)
        self.mlp = nn.Sequential(Linear(width, shape.inner), nn.GELU(), Linear(shape.inner, width))

    def forward(self, hidden: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        normed = self.norm_self_attn(hidden)
        hidden = hidden + self.self_attn(normed, normed)
        hidden = hidden + self.cross_attn(self.norm_cross_attn(hidden), states)
        result: torch.Tensor = hidden + self.mlp(self.norm_mlp(hidden))
        return result


def _turned(heads: torch.Tensor) -> torch.Tensor:
    """``[B, heads, tokens, width]``: each feature of the first half turned with that of the second (Su et al. 2021)."""
    half = heads.shape[-1] // 2
    exponents = torch.arange(0, 2 * half, 2, device=heads.device).float() / (2 * half)
    angles = torch.arange(heads.shape[-2], device=heads.device).float()[:, None] / THETA**exponents
    cosines, sines = angles.cos().to(heads), angles.sin().to(heads)
    first, second = heads[..., :half], heads[..., half:]
    return torch.cat((first * cosines - second * sines, second * cosines + first * sines), dim=-1)
