"""Merge the weights of two networks of the same kind: a layer over the first that reads the second when it is
needed."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import torch

from safelight.core.errors import Invalid
from safelight.models.weight_layers import WeightLayer, WeightPatch
from safelight.models.weights import Weights

MergeRatios = Callable[[str], tuple[float, float]]
"""The shares of the first and the second network, by a weight's name."""


class IncompatibleModels(Invalid):
    """Two models of different kinds cannot be merged."""

    code = "unlike_models"


@dataclass(frozen=True, eq=False)
class _Merged:
    own: float
    other: float
    name: str
    weights: Weights = field(repr=False)
    layers: tuple[WeightLayer, ...] = field(repr=False)

    def apply(self, weight: torch.Tensor, strength: float) -> torch.Tensor:
        merged = weight * self.own + patched_weight(self.weights, self.layers, self.name).to(weight) * self.other
        return torch.lerp(weight, merged, strength)


def patched_weight(weights: Weights, layers: Iterable[WeightLayer], name: str) -> torch.Tensor:
    """One weight under its layers, in float32."""
    ((_, tensor),) = weights.read([name])
    value = tensor.float()
    for layer in layers:
        if (patch := layer.patches.get(name)) is not None and layer.strength:
            value = patch.apply(value, layer.strength)
    return value


def merge_layer(
    name: str, own: Mapping[str, torch.Size], other: Weights, layers: tuple[WeightLayer, ...], ratios: MergeRatios
) -> WeightLayer:
    """The layer over weights of the shapes ``own`` that merges in ``other`` under ``layers``. Weights that one of them
    lacks stay unchanged. Raises :class:`IncompatibleModels` if most shapes differ."""
    others = other.shapes
    common = [weight for weight, shape in own.items() if others.get(weight) == shape]
    if len(common) * 2 < len(own):
        raise IncompatibleModels(
            f"the models share only {len(common)} of {len(own)} weights; choose two models of one family"
        )
    patches: dict[str, WeightPatch] = {
        weight: _Merged(*ratios(weight), name=weight, weights=other, layers=layers) for weight in common
    }
    return WeightLayer(name, patches)
