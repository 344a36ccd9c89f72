"""The image transformers of CLIP and SigLIP (Radford et al. 2021, Zhai et al. 2023), built from the shapes of their
weights, with transformers' names."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from safelight.models.clip_layer import Activation, ClipLayer
from safelight.models.operations import Conv2d, Linear

_PREFIX = "vision_model.encoder.layers."


@dataclass(frozen=True, slots=True)
class VisionShape:
    """``patches``: per side. ``projection``: 0 without one. ``is_siglip``: there is no class token for the whole
    image."""

    width: int
    inner: int
    layers: int
    patch: int
    patches: int
    projection: int
    is_siglip: bool

    @property
    def side(self) -> int:
        """Side of the input images, in pixels."""
        return self.patch * self.patches

    @property
    def activation(self) -> Activation:
        if self.is_siglip:
            return "gelu_tanh"
        return "quick_gelu" if self.width == 1024 else "gelu"  # OpenAI's CLIP L; LAION's models have the plain GELU


def vision_shape(shapes: Mapping[str, torch.Size]) -> VisionShape:
    """Read the shape off the weights. Raises :class:`KeyError` with the name that is missing."""
    width, _, patch, _ = shapes["vision_model.embeddings.patch_embedding.weight"]
    is_siglip = "vision_model.embeddings.class_embedding" not in shapes
    positions = shapes["vision_model.embeddings.position_embedding.weight"][0]
    layers = {name.removeprefix(_PREFIX).split(".")[0] for name in shapes if name.startswith(_PREFIX)}
    return VisionShape(
        width=width,
        inner=shapes[f"{_PREFIX}0.mlp.fc1.weight"][0],
        layers=len(layers),
        patch=patch,
        patches=math.isqrt(positions - (not is_siglip)),
        projection=shapes["visual_projection.weight"][0] if "visual_projection.weight" in shapes else 0,
        is_siglip=is_siglip,
    )


@dataclass(frozen=True, eq=False)
class VisionFeatures:
    """``layers``: after the embeddings and after each layer, ``[B, tokens, width]``. ``pooled``: of the whole image,
    projected if there is a projection; for SigLIP, all tokens."""

    layers: tuple[torch.Tensor, ...]
    last: torch.Tensor
    pooled: torch.Tensor


class VisionTransformer(nn.Module):
    def __init__(self, shape: VisionShape, *, heads: int) -> None:
        super().__init__()
        self.vision_model = _VisionModel(shape, heads)
        if shape.projection:
            self.visual_projection = Linear(shape.width, shape.projection, bias=False)

    def forward(self, planes: torch.Tensor) -> VisionFeatures:
        """``[B, 3, side, side]``, normalized as in training."""
        layers, last, pooled = self.vision_model(planes)
        return VisionFeatures(
            layers, last, self.visual_projection(pooled) if hasattr(self, "visual_projection") else pooled
        )


class _VisionModel(nn.Module):
    def __init__(self, shape: VisionShape, heads: int) -> None:
        super().__init__()
        self.is_siglip = shape.is_siglip
        self.embeddings = _Embeddings(shape)
        if not shape.is_siglip:
            self.pre_layrnorm = nn.LayerNorm(shape.width)  # sic, in every file
        eps = 1e-6 if shape.is_siglip else 1e-5
        self.encoder = _Encoder(shape, heads, eps)
        self.post_layernorm = nn.LayerNorm(shape.width, eps=eps)

    def forward(self, planes: torch.Tensor) -> tuple[tuple[torch.Tensor, ...], torch.Tensor, torch.Tensor]:
        hidden = self.embeddings(planes)
        layers = [hidden if self.is_siglip else self.pre_layrnorm(hidden)]
        for layer in self.encoder.layers:
            layers.append(layer(layers[-1]))
        if self.is_siglip:
            last = self.post_layernorm(layers[-1])
            return tuple(layers), last, last
        return tuple(layers), layers[-1], self.post_layernorm(layers[-1][:, 0])


class _Embeddings(nn.Module):
    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        if not shape.is_siglip:
            self.class_embedding = nn.Parameter(torch.empty(shape.width))
        self.patch_embedding = Conv2d(3, shape.width, shape.patch, stride=shape.patch, bias=shape.is_siglip)
        self.position_embedding = nn.Embedding(shape.patches**2 + (not shape.is_siglip), shape.width)

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        tokens = self.patch_embedding(planes).flatten(2).transpose(1, 2)
        if hasattr(self, "class_embedding"):
            tokens = torch.cat((self.class_embedding.expand(len(tokens), 1, -1), tokens), dim=1)
        embedded: torch.Tensor = tokens + self.position_embedding.weight
        return embedded


class _Encoder(nn.Module):
    def __init__(self, shape: VisionShape, heads: int, eps: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            ClipLayer(shape.width, shape.inner, heads, shape.activation, is_causal=False, eps=eps)
            for _ in range(shape.layers)
        )
