"""Feed-forward layers of several experts, of which each token uses two (Dai et al., "DeepSeekMoE", 2024)."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from safelight.models.operations import Linear

CHOSEN = 2
"""Experts for each token, besides the one that all tokens use."""


@dataclass(frozen=True, slots=True)
class ExpertsShape:
    """``inner``: features inside of each expert; ``shared``: of the expert for all tokens."""

    width: int
    count: int
    inner: int
    shared: int


class GatedLayers(nn.Module):
    """SwiGLU (Shazeer, "GLU Variants Improve Transformer", 2020)."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.w1 = Linear(width, inner, bias=False)
        self.w2 = Linear(inner, width, bias=False)
        self.w3 = Linear(width, inner, bias=False)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.w2(functional.silu(self.w1(hidden)) * self.w3(hidden))
        return result


class Experts(nn.Module):
    def __init__(self, shape: ExpertsShape) -> None:
        super().__init__()
        self.shared_experts = GatedLayers(shape.width, shape.shared)
        self.experts = nn.ModuleList(GatedLayers(shape.width, shape.inner) for _ in range(shape.count))
        self.gate = _Gate(shape)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        tokens = hidden.flatten(0, 1)
        weights, chosen = self.gate(tokens).topk(CHOSEN, dim=-1)
        made = torch.zeros_like(tokens)
        for index, expert in enumerate(self.experts):
            rows, places = (chosen == index).nonzero(as_tuple=True)
            made.index_add_(0, rows, expert(tokens[rows]) * weights[rows, places][:, None])
        result: torch.Tensor = made.reshape(hidden.shape) + self.shared_experts(hidden)
        return result


class _Gate(nn.Module):
    def __init__(self, shape: ExpertsShape) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(shape.count, shape.width))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """The share of each expert, ``[tokens, count]``."""
        return functional.linear(tokens, self.weight).softmax(dim=-1)
