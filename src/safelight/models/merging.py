"""Weights of two networks of one kind, mixed: a layer over the first that reads the second when it is needed."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import torch

from safelight.core.errors import Invalid
from safelight.models.weight_layers import WeightLayer, WeightPatch
from safelight.models.weights import Weights

Shares = Callable[[str], tuple[float, float]]
"""By a weight's name, how much of the first network's and of the second's."""


class UnlikeModels(Invalid):
    """Two models of different kinds cannot be mixed."""

    code = "unlike_models"


@dataclass(frozen=True, eq=False)
class _Mixed:
    own: float
    other: float
    name: str
    weights: Weights = field(repr=False)
    layers: tuple[WeightLayer, ...] = field(repr=False)

    def apply(self, weight: torch.Tensor, strength: float) -> torch.Tensor:
        mixed = weight * self.own + patched(self.weights, self.layers, self.name).to(weight) * self.other
        return torch.lerp(weight, mixed, strength)


def patched(weights: Weights, layers: Iterable[WeightLayer], name: str) -> torch.Tensor:
    """One weight under its layers, in float32."""
    ((_, tensor),) = weights.read([name])
    value = tensor.float()
    for layer in layers:
        if (patch := layer.patches.get(name)) is not None and layer.strength:
            value = patch.apply(value, layer.strength)
    return value


def mixed(
    name: str, own: Mapping[str, torch.Size], other: Weights, layers: tuple[WeightLayer, ...], shares: Shares
) -> WeightLayer:
    """The layer over weights of the shapes ``own`` that mixes in ``other``, which has ``layers``. What one of them
    lacks stays as it is. Raises :class:`UnlikeModels` where most is of other shapes."""
    others = other.shapes
    common = [weight for weight, shape in own.items() if others.get(weight) == shape]
    if len(common) * 2 < len(own):
        raise UnlikeModels(f"the models have {len(common)} of {len(own)} weights in common: they are of other kinds")
    patches: dict[str, WeightPatch] = {
        weight: _Mixed(*shares(weight), name=weight, weights=other, layers=layers) for weight in common
    }
    return WeightLayer(name, patches)
