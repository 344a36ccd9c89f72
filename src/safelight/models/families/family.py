"""What is known about a family besides its weights."""

from dataclasses import dataclass
from typing import Any

from safelight.models.diffusion_model import DiffusionModel
from safelight.models.latent_format import LatentFormat
from safelight.models.sampling.parameterization import Parameterization
from safelight.models.stored_unet import ConditioningAdapter, StoredUNet
from safelight.models.text.recipe import TextRecipe
from safelight.models.unet.shape import unet_shape
from safelight.models.unet.unet_module import Heads
from safelight.models.weights import Weights


@dataclass(frozen=True)
class Family:
    """``conditioning``: what its conditioning options mean. ``text``: how its text encoders are read, by their
    letters."""

    name: str
    parameterization: Parameterization
    latent_format: LatentFormat
    heads: Heads
    conditioning: ConditioningAdapter
    text: TextRecipe
    groups: int = 32
    autoencoder_groups: int = 32

    def model(self, unet: Weights, **options: Any) -> DiffusionModel:
        network = StoredUNet(unet, unet_shape(unet.shapes), self.heads, self.conditioning, self.groups, **options)
        return DiffusionModel(network, self.parameterization, self.latent_format, family=self.name)
