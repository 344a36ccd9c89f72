"""What is known of a family beside its weights."""

from dataclasses import dataclass
from typing import Any

from safelight.models.diffusion_model import DiffusionModel
from safelight.models.latent_format import LatentFormat
from safelight.models.sampling.parameterization import Parameterization
from safelight.models.stored_unet import Conditions, StoredUNet
from safelight.models.text.recipe import TextRecipe
from safelight.models.unet.shape import unet_shape
from safelight.models.unet.unet_module import Heads
from safelight.models.weights import Weights


@dataclass(frozen=True)
class Family:
    """``text``: how its text encoders are read, by their places in a checkpoint."""

    name: str
    parameterization: Parameterization
    latent_format: LatentFormat
    heads: Heads
    understand: Conditions
    text: TextRecipe
    groups: int = 32
    autoencoder_groups: int = 32

    def model(self, unet: Weights, **options: Any) -> DiffusionModel:
        network = StoredUNet(unet, unet_shape(unet.shapes), self.heads, self.understand, self.groups, **options)
        return DiffusionModel(network, self.parameterization, self.latent_format, family=self.name)
