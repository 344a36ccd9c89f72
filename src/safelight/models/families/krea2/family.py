"""Krea 2: detection, and what is known about it. There was no ComfyUI with this family to compare with: the network is
compared with diffusers' class, and the layers of the text encoder are those of its pipeline."""

from dataclasses import replace

from safelight.models.families.family import Family, NetworkFile, Variant
from safelight.models.families.krea2.conditioning import Krea2Conditioning
from safelight.models.families.krea2.network import FUSED, Krea2Architecture, krea2_shape
from safelight.models.families.qwen_image.latent import WAN21_LATENT
from safelight.models.families.qwen_image.lora_names import qwen_image_names
from safelight.models.families.qwen_image.text import TEMPLATE, instructions
from safelight.models.language.question_recipe import QWEN3_VL_RECIPE
from safelight.models.sampling.levels import ExponentialFlowLevels
from safelight.models.sampling.parameterization import Parameterization
from safelight.models.sampling.prediction import Flow
from safelight.models.text.recipe import TextRecipe
from safelight.models.weights import UnknownWeights

LOG_SHIFT = 1.15
"""Of the turbo model, at all sizes."""
STATES = tuple(range(2, 36, 3))
"""The states of the text encoder that the network fuses."""

TEXT = TextRecipe(
    {"qwen3vl_4b": replace(QWEN3_VL_RECIPE, template=TEMPLATE, states=STATES, prefix=instructions)},
    types=("krea2",),
    title="Krea 2",
)


def detect(found: NetworkFile) -> Variant | None:
    if FUSED not in found.shapes:
        return None
    try:
        shape = krea2_shape(found.shapes)
    except KeyError as error:
        raise UnknownWeights(f"{found.name!r} is a Krea 2 model without {error}") from None
    return Variant(
        name="krea2",
        parameterization=Parameterization(Flow(), ExponentialFlowLevels(LOG_SHIFT)),
        latent_format=WAN21_LATENT,
        architecture=Krea2Architecture(shape),
        conditioning=Krea2Conditioning(f"the Krea 2 model {found.name!r}", shape.text_features),
        lora_names=qwen_image_names,
        text=TEXT,
    )


FAMILY = Family("krea2", "Krea 2", detect, text=(TEXT,))
