"""USO's projector (Wu et al. 2025): the style of an image as tokens before those of the prompt, from three layers of
its encoder.
"""

from dataclasses import dataclass

import torch
from torch import nn

from safelight.models.network_hooks import TextHook
from safelight.models.operations import Linear
from safelight.models.precision import compute_dtype
from safelight.models.residency import compute_device, residency
from safelight.models.weights import WeightFile, Weights

PREFIX = "feature_embedder."
LEVELS = {"high": -2, "mid": -11, "low": -20}
"""The layer of the encoder that each part sees, counted from the end, in the order of the tokens."""


def read_model_patch(file: WeightFile) -> "StyleProjector | None":
    if f"{PREFIX}mid_layer_norm.bias" not in file.shapes:
        return None
    weights = file.weights(PREFIX)
    tokens, seen = weights.shapes["high_embedding_linear.0.weight"]
    width, features = weights.shapes["high_projection.weight"]
    return StyleProjector(weights, ProjectorShape(seen, features, tokens, width))


@dataclass(frozen=True)
class ProjectorShape:
    """``seen`` tokens of ``features`` come from the encoder; ``tokens`` of ``width`` go to the network for each
    level."""

    seen: int
    features: int
    tokens: int
    width: int


@dataclass(frozen=True)
class StyleProjector:
    weights: Weights
    shape: ProjectorShape

    def text_hook(self, layers: torch.Tensor) -> TextHook:
        """See :class:`safelight.models.control.model_patch.StylePatch`."""

        def before(text: torch.Tensor) -> torch.Tensor:
            device = compute_device()
            with residency().use(
                self.weights, (), lambda: Projector(self.shape), device=device, dtype=compute_dtype(device)
            ) as module:
                style: torch.Tensor = module(layers.to(device))
            return torch.cat((style.to(text).expand(len(text), -1, -1), text), dim=1)

        return before


class Projector(nn.Module):
    def __init__(self, shape: ProjectorShape) -> None:
        super().__init__()
        for level in LEVELS:
            self.add_module(f"{level}_embedding_linear", nn.Sequential(Linear(shape.seen, shape.tokens), nn.SiLU()))
            self.add_module(f"{level}_layer_norm", nn.LayerNorm(shape.features))
            self.add_module(f"{level}_projection", Linear(shape.features, shape.width))

    def forward(self, layers: torch.Tensor) -> torch.Tensor:
        """``[B, layers, seen, features]`` to ``[B, 3 * tokens, width]``."""
        dtype = next(self.parameters()).dtype
        parts = []
        for level, layer in LEVELS.items():
            state = layers[:, max(layer, -layers.shape[1])].to(dtype)
            mixed = self.get_submodule(f"{level}_embedding_linear")(state.transpose(1, 2)).transpose(1, 2)
            parts.append(self.get_submodule(f"{level}_projection")(self.get_submodule(f"{level}_layer_norm")(mixed)))
        return torch.cat(parts, dim=1)
