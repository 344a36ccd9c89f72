"""DINOv2 (Oquab et al. 2023), a vision transformer whose position embeddings are interpolated to the picture, under the
names of transformers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isqrt

import torch
from torch import nn
from torch.nn import functional

from safelight.models.operations import Conv2d, Linear
from safelight.models.transformer.attention import split_heads
from safelight.models.weights import count_blocks

PATCH = 14
HEAD_WIDTH = 64
EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class DinoShape:
    """``grid``: patches per side of the pictures in training."""

    width: int
    inner: int
    layers: int
    grid: int


def dino_shape(shapes: Mapping[str, torch.Size]) -> DinoShape:
    """Read the shape off the weights. Raises :class:`KeyError` with the name that is missing."""
    positions, width = shapes["embeddings.position_embeddings"][1:]
    return DinoShape(
        width=width,
        inner=shapes["encoder.layer.0.mlp.fc1.weight"][0],
        layers=count_blocks(shapes, "encoder.layer"),
        grid=isqrt(positions - 1),
    )


class Dino(nn.Module):
    def __init__(self, shape: DinoShape) -> None:
        super().__init__()
        self.embeddings = _Embeddings(shape)
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(_Layer(shape) for _ in range(shape.layers))})
        self.layernorm = nn.LayerNorm(shape.width, eps=EPSILON)

    def forward(self, planes: torch.Tensor, chosen: Sequence[int]) -> list[torch.Tensor]:
        """The states of the patches after the chosen layers, normalised, ``[B, rows * columns, width]`` each; ``planes
        [B, 3, H, W]`` with sides that are multiples of :data:`PATCH`."""
        hidden = self.embeddings(planes)
        states = []
        layers = self.encoder["layer"]
        assert isinstance(layers, nn.ModuleList)
        for layer in layers:
            hidden = layer(hidden)
            states.append(hidden)
        return [self.layernorm(states[index])[:, 1:] for index in chosen]


class _Embeddings(nn.Module):
    def __init__(self, shape: DinoShape) -> None:
        super().__init__()
        self.patch_embeddings = nn.ModuleDict({"projection": Conv2d(3, shape.width, PATCH, stride=PATCH)})
        self.cls_token = nn.Parameter(torch.empty(1, 1, shape.width))
        self.position_embeddings = nn.Parameter(torch.empty(1, shape.grid**2 + 1, shape.width))
        self.grid = shape.grid

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        patches = self.patch_embeddings["projection"](planes)
        rows, columns = patches.shape[-2:]
        whole = self.cls_token.expand(len(planes), -1, -1)
        tokens = torch.cat((whole, patches.flatten(2).transpose(1, 2)), dim=1)
        return tokens + self._positions(rows, columns)

    def _positions(self, rows: int, columns: int) -> torch.Tensor:
        known = self.position_embeddings
        if rows * columns == self.grid**2:  # as in the published code, also for a grid of another shape
            return known
        square = known[:, 1:].float().reshape(1, self.grid, self.grid, -1).movedim(-1, 1)
        # The published code scales by a factor with an offset, which moves the samples slightly.
        factors = ((rows + 0.1) / self.grid, (columns + 0.1) / self.grid)
        fitted = functional.interpolate(square, scale_factor=factors, mode="bicubic")
        return torch.cat((known[:, :1], fitted.movedim(1, -1).flatten(1, 2).to(known.dtype)), dim=1)


class _Scale(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.lambda1 = nn.Parameter(torch.empty(width))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden * self.lambda1


class _Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = width // HEAD_WIDTH
        projections = {name: Linear(width, width) for name in ("query", "key", "value")}
        self.attention = nn.ModuleDict(projections)
        self.output = nn.ModuleDict({"dense": Linear(width, width)})

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        q, k, v = (split_heads(self.attention[name](hidden), self.heads) for name in ("query", "key", "value"))
        attended = functional.scaled_dot_product_attention(q, k, v)
        result: torch.Tensor = self.output["dense"](attended.transpose(1, 2).flatten(-2))
        return result


class _Layer(nn.Module):
    def __init__(self, shape: DinoShape) -> None:
        super().__init__()
        width = shape.width
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=EPSILON), nn.LayerNorm(width, eps=EPSILON)
        self.attention = _Attention(width)
        self.layer_scale1, self.layer_scale2 = _Scale(width), _Scale(width)
        self.mlp = nn.ModuleDict({"fc1": Linear(width, shape.inner), "fc2": Linear(shape.inner, width)})

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        hidden = hidden + self.layer_scale1(self.attention(self.norm1(hidden)))
        inner = functional.gelu(self.mlp["fc1"](self.norm2(hidden)))
        result: torch.Tensor = hidden + self.layer_scale2(self.mlp["fc2"](inner))
        return result
