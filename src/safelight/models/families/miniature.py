"""The bundled model: a small rectified flow of this project's own. Settings that its weights do not show are in its
metadata."""

from collections.abc import Mapping
from typing import Any

from safelight.models.families.conditioning import PooledText
from safelight.models.families.family import Family
from safelight.models.latent_format import LatentFormat
from safelight.models.sampling.levels import FlowLevels
from safelight.models.sampling.parameterization import Parameterization
from safelight.models.sampling.prediction import Flow
from safelight.models.text.recipe import MINIATURE_TEXT, TextRecipe
from safelight.models.unet.shape import UNetShape
from safelight.models.unet.unet_module import Heads

METADATA = "safelight.miniature"


def miniature_family(settings: Mapping[str, Any], shape: UNetShape) -> Family:
    """The family with these settings. Raises :class:`KeyError` if one is missing."""
    return Family(
        name="miniature",
        parameterization=Parameterization(Flow(), FlowLevels(settings["flow_shift"])),
        latent_format=LatentFormat(
            channels=shape.out_channels,
            scale=settings["latent_scale"],
            shift=settings["latent_shift"],
            rgb_factors=tuple(tuple(row) for row in settings["rgb_factors"]),
            rgb_bias=tuple(settings["rgb_bias"]),
        ),
        heads=Heads(width=settings["head_width"]),
        conditioning=PooledText(shape.vector),
        text=TextRecipe({"l": MINIATURE_TEXT}),
        groups=settings["groups"],
        autoencoder_groups=settings["autoencoder_groups"],
    )
