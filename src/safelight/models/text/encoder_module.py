"""CLIP's text transformer (Radford et al. 2021), built from the shapes of its weights, with transformers' names."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from safelight.models.clip_layer import Activation, ClipLayer
from safelight.models.operations import Linear


@dataclass(frozen=True, slots=True)
class TextShape:
    vocabulary: int
    length: int
    width: int
    inner: int
    layers: int
    projection: int
    """Features of the projected pooled output, 0 without a projection."""


def text_shape(shapes: Mapping[str, torch.Size]) -> TextShape:
    """The shape of weights named ``text_model...``. Raises :class:`KeyError` with the name that is missing."""
    prefix = "text_model.encoder.layers."
    layers = {name.removeprefix(prefix).split(".")[0] for name in shapes if name.startswith(prefix)}
    vocabulary, width = shapes["text_model.embeddings.token_embedding.weight"]
    return TextShape(
        vocabulary=vocabulary,
        width=width,
        length=shapes["text_model.embeddings.position_embedding.weight"][0],
        inner=shapes[f"{prefix}0.mlp.fc1.weight"][0],
        layers=len(layers),
        projection=shapes["text_projection.weight"][0] if "text_projection.weight" in shapes else 0,
    )


@dataclass(frozen=True, eq=False)
class Encoded:
    """``layers``: after the embeddings and after each layer, ``[B, tokens, width]``. ``final``: the last one,
    normalized."""

    layers: tuple[torch.Tensor, ...]
    final: torch.Tensor


class ClipText(nn.Module):
    def __init__(self, shape: TextShape, *, heads: int, activation: Activation) -> None:
        super().__init__()
        self.text_model = _TextModel(shape, heads, activation)
        if shape.projection:
            self.text_projection = Linear(shape.width, shape.projection, bias=False)

    def forward(self, embeddings: torch.Tensor) -> Encoded:
        """``embeddings [B, tokens, width]`` of tokens, without those of their positions."""
        return self.text_model(embeddings)  # type: ignore[no-any-return]

    def embedded(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.text_model.embeddings.token_embedding(tokens)  # type: ignore[no-any-return]

    def normalised(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.text_model.final_layer_norm(hidden)  # type: ignore[no-any-return]

    def projected(self, pooled: torch.Tensor) -> torch.Tensor:
        """``pooled`` unchanged if there is no projection."""
        return self.text_projection(pooled) if hasattr(self, "text_projection") else pooled


class _Embeddings(nn.Module):
    def __init__(self, shape: TextShape) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.position_embedding = nn.Embedding(shape.length, shape.width)


class _TextModel(nn.Module):
    def __init__(self, shape: TextShape, heads: int, activation: Activation) -> None:
        super().__init__()
        self.embeddings = _Embeddings(shape)
        self.encoder = _Encoder(shape, heads, activation)
        self.final_layer_norm = nn.LayerNorm(shape.width)

    def forward(self, embeddings: torch.Tensor) -> Encoded:
        positions: torch.Tensor = self.embeddings.position_embedding.weight[: embeddings.shape[1]]
        layers = [embeddings + positions]
        for layer in self.encoder.layers:
            layers.append(layer(layers[-1]))
        return Encoded(tuple(layers), self.final_layer_norm(layers[-1]))


class _Encoder(nn.Module):
    def __init__(self, shape: TextShape, heads: int, activation: Activation) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            ClipLayer(shape.width, shape.inner, heads, activation, is_causal=True) for _ in range(shape.layers)
        )
