"""The bundled model: a small rectified flow of this project's own. Settings that its weights do not show are in its
metadata."""

from collections.abc import Mapping
from typing import Any

from safelight.models.families.family import Variant
from safelight.models.families.stable_diffusion.conditioning import PooledText
from safelight.models.latent_format import LatentFormat
from safelight.models.lora.names import unet_names
from safelight.models.sampling.levels import FlowLevels
from safelight.models.sampling.parameterization import Parameterization
from safelight.models.sampling.prediction import Flow
from safelight.models.text.clip import ClipRecipe
from safelight.models.text.recipe import TextRecipe
from safelight.models.text.tokenizer import END
from safelight.models.unet.shape import UNetShape
from safelight.models.unet.unet_module import Heads, UNetArchitecture

METADATA = "safelight.miniature"

TEXT = TextRecipe(
    {"l": ClipRecipe(heads=4, activation="gelu", pad=END, layer=-1, normalises=True)},
    prefixes={"l": ("cond_stage_model.transformer.",)},
)


def miniature(settings: Mapping[str, Any], shape: UNetShape) -> Variant:
    """The network with these settings. Raises :class:`KeyError` if one is missing."""
    return Variant(
        name="miniature",
        parameterization=Parameterization(Flow(), FlowLevels(settings["flow_shift"])),
        latent_format=LatentFormat(
            channels=shape.out_channels,
            scale=settings["latent_scale"],
            shift=settings["latent_shift"],
            rgb_factors=tuple(tuple(row) for row in settings["rgb_factors"]),
            rgb_bias=tuple(settings["rgb_bias"]),
        ),
        architecture=UNetArchitecture(shape, Heads(width=settings["head_width"]), settings["groups"]),
        conditioning=PooledText(shape.vector),
        lora_names=unet_names,
        text=TEXT,
        autoencoder_groups=settings["autoencoder_groups"],
    )
