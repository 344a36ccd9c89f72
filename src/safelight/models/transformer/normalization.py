"""Root mean square norms (Zhang and Sennrich 2019)."""

import torch
from torch import nn
from torch.nn import functional


class ScaleNorm(nn.Module):
    """An RMS norm whose weight is named ``scale``."""

    def __init__(self, width: int, *, epsilon: float = 1e-6) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.empty(width))
        self.epsilon = epsilon

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return functional.rms_norm(hidden, self.scale.shape, self.scale, self.epsilon)


class QueryKeyNorm(nn.Module):
    """Norms of queries and keys, each over a head."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query_norm = ScaleNorm(width)
        self.key_norm = ScaleNorm(width)

    def forward(self, q: torch.Tensor, k: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.query_norm(q), self.key_norm(k)


def layer_norm(hidden: torch.Tensor, *, epsilon: float = 1e-6) -> torch.Tensor:
    """A layer norm without weights."""
    return functional.layer_norm(hidden, hidden.shape[-1:], eps=epsilon)
