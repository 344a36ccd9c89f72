"""Adaptive layer norm (Peebles and Xie, "Scalable Diffusion Models with Transformers", 2023): shift, scale and gate of
a block's branch come from an embedding of the timestep."""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from safelight.models.operations import Linear
from safelight.models.transformer.normalization import layer_norm


class Modulation(NamedTuple):
    """Of one branch, ``[B, 1 or tokens, width]`` each."""

    shift: torch.Tensor
    scale: torch.Tensor
    gate: torch.Tensor

    def normed(self, hidden: torch.Tensor) -> torch.Tensor:
        """The input of the branch."""
        return torch.addcmul(self.shift, layer_norm(hidden), 1 + self.scale)

    def added(self, hidden: torch.Tensor, branch: torch.Tensor) -> torch.Tensor:
        """``hidden`` plus the gated output of the branch."""
        return hidden + self.gate * branch


Modulations = tuple[Modulation, ...]


class ModulationLayer(nn.Module):
    """Modulations of several branches from an embedding ``[B, width]``."""

    def __init__(self, width: int, branches: int, *, bias: bool = True) -> None:
        super().__init__()
        self.lin = Linear(width, 3 * branches * width, bias=bias)
        self.branches = branches

    def forward(self, embedding: torch.Tensor) -> Modulations:
        parts = self.lin(functional.silu(embedding))[:, None].chunk(3 * self.branches, dim=-1)
        return tuple(Modulation(*parts[3 * branch : 3 * branch + 3]) for branch in range(self.branches))


class ModulatedOutput(nn.Module):
    """The last layer: a layer norm with shift and scale, and the projection to the tokens of the output."""

    def __init__(self, width: int, features: int, *, bias: bool = True, is_modulated: bool = True) -> None:
        super().__init__()
        self.linear = Linear(width, features, bias=bias)
        if is_modulated:
            self.adaLN_modulation = nn.Sequential(nn.SiLU(), Linear(width, 2 * width, bias=bias))

    def shift_and_scale(self, embedding: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """From an embedding ``[B, width]``, ``[B, 1, width]`` each."""
        shift, scale = self.adaLN_modulation(embedding)[:, None].chunk(2, dim=-1)
        return shift, scale

    def forward(self, hidden: torch.Tensor, shift: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.linear(torch.addcmul(shift, layer_norm(hidden), 1 + scale))
        return result
