"""A layer of CLIP's text and image transformers (Radford et al. 2021), with transformers' names for its weights."""

from typing import Literal

import torch
from torch import nn
from torch.nn import functional

from safelight.models.operations import Linear

Activation = Literal["quick_gelu", "gelu", "gelu_tanh"]


class ClipLayer(nn.Module):
    def __init__(
        self, width: int, inner: int, heads: int, activation: Activation, *, is_causal: bool, eps: float = 1e-5
    ) -> None:
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(width, eps=eps)
        self.self_attn = _Attention(width, heads, is_causal)
        self.layer_norm2 = nn.LayerNorm(width, eps=eps)
        self.mlp = _Mlp(width, inner, activation)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        hidden = hidden + self.self_attn(self.layer_norm1(hidden))
        result: torch.Tensor = hidden + self.mlp(self.layer_norm2(hidden))
        return result


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int, is_causal: bool) -> None:
        super().__init__()
        self.q_proj = Linear(width, width)
        self.k_proj = Linear(width, width)
        self.v_proj = Linear(width, width)
        self.out_proj = Linear(width, width)
        self.heads = heads
        self.is_causal = is_causal

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        q, k, v = (
            project(hidden).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        attended = functional.scaled_dot_product_attention(q, k, v, is_causal=self.is_causal)
        result: torch.Tensor = self.out_proj(attended.transpose(1, 2).flatten(2))
        return result


class _Mlp(nn.Module):
    def __init__(self, width: int, inner: int, activation: Activation) -> None:
        super().__init__()
        self.fc1 = Linear(width, inner)
        self.fc2 = Linear(inner, width)
        self.activation = activation

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        inner = self.fc1(hidden)
        if self.activation == "quick_gelu":
            inner = inner * torch.sigmoid(1.702 * inner)
        else:
            inner = functional.gelu(inner, approximate="tanh" if self.activation == "gelu_tanh" else "none")
        result: torch.Tensor = self.fc2(inner)
        return result
