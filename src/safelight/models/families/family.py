"""What is known about a family, and about the network in one of its files."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from safelight.models.diffusion_model import DiffusionModel
from safelight.models.latent_format import LatentFormat
from safelight.models.sampling.parameterization import Parameterization
from safelight.models.stored_network import Architecture, ConditioningAdapter, LoraNames, StoredNetwork
from safelight.models.text.recipe import TextRecipe
from safelight.models.weights import WeightFile, Weights


@dataclass(frozen=True)
class NetworkFile:
    """A file, and the weights of its diffusion network under the network's own names. Detection reads names, shapes,
    types and metadata; tensors only where those are ambiguous."""

    file: WeightFile
    weights: Weights

    @property
    def name(self) -> str:
        return self.file.path.name

    @property
    def shapes(self) -> Mapping[str, torch.Size]:
        return self.weights.shapes


@dataclass(frozen=True)
class Variant:
    """The network in one file: which member of its family it is. ``text``: the text encoders of its checkpoints."""

    name: str
    parameterization: Parameterization
    latent_format: LatentFormat
    architecture: Architecture
    conditioning: ConditioningAdapter
    lora_names: LoraNames
    text: TextRecipe
    autoencoder_groups: int = 32
    is_clean_outside_mask: bool = False
    """See :attr:`safelight.models.diffusion_model.DiffusionModel.is_clean_outside_mask`."""

    def model(self, weights: Weights, **options: Any) -> DiffusionModel:
        network = StoredNetwork(weights, self.architecture, self.conditioning, self.lora_names, **options)
        return DiffusionModel(
            network,
            self.parameterization,
            self.latent_format,
            is_clean_outside_mask=self.is_clean_outside_mask,
            family=self.name,
        )


@dataclass(frozen=True)
class Family:
    """``detect``: the variant that a file's network is, or ``None`` for another family's. Raises
    :class:`safelight.models.weights.UnknownWeights` for a network of this architecture that it does not support.

    ``text``: its text encoders in files of their own. ``in_own_layout``: renames the weights of other layouts before
    detection."""

    name: str
    title: str
    detect: Callable[[NetworkFile], Variant | None]
    text: tuple[TextRecipe, ...] = ()
    in_own_layout: Callable[[Weights], Weights] = lambda weights: weights
