"""Timesteps and other numbers as features."""

import torch
from torch import nn
from torch.nn import functional

from safelight.models.operations import Linear
from safelight.models.unet.unet_module import sinusoids


class TwoLayers(nn.Module):
    """A linear layer, SiLU, and another, under the names ``in_layer`` and ``out_layer``."""

    def __init__(self, features: int, width: int, *, bias: bool = True) -> None:
        super().__init__()
        self.in_layer = Linear(features, width, bias=bias)
        self.out_layer = Linear(width, width, bias=bias)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.out_layer(functional.silu(self.in_layer(features)))
        return result


def spread(numbers: torch.Tensor, features: int, *, factor: float = 1000.0) -> torch.Tensor:
    """``numbers [B]`` times ``factor`` as sinusoids ``[B, features]``."""
    return sinusoids(factor * numbers, features)
