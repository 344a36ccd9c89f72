"""FLUX.3 Image klein: detection, and what is known about its members. There was no ComfyUI with this family to compare
with: the network is compared with diffusers' class, the prompt and the noise levels are those of its pipeline."""

from safelight.models.families.family import Family, NetworkFile, Variant
from safelight.models.families.flux2.family import FLUX2_LATENT
from safelight.models.families.flux3.conditioning import Flux3Conditioning
from safelight.models.families.flux3.network import MARK, Flux3Architecture, flux3_shape
from safelight.models.families.flux3.text import FLUX3_TEXT
from safelight.models.families.qwen_image.lora_names import qwen_image_names
from safelight.models.sampling.levels import FlowLevels
from safelight.models.sampling.parameterization import Parameterization
from safelight.models.sampling.prediction import Flow
from safelight.models.weights import UnknownWeights, Weights

SHIFT = 6.93
_TRAINING = "repa_projectors."
"""Layers that only training needs."""


def detect(found: NetworkFile) -> Variant | None:
    if MARK not in found.shapes:
        return None
    try:
        shape = flux3_shape(found.shapes)
    except KeyError as error:
        raise UnknownWeights(f"{found.name!r} is a FLUX.3 model without {error}") from None
    return Variant(
        name="flux3",
        parameterization=Parameterization(Flow(), FlowLevels(shift=SHIFT, multiplier=1.0)),
        latent_format=FLUX2_LATENT,
        architecture=Flux3Architecture(shape),
        conditioning=Flux3Conditioning(shape, f"the FLUX.3 model {found.name!r}"),
        lora_names=qwen_image_names,
        text=FLUX3_TEXT,
    )


def _used(weights: Weights) -> Weights:
    if MARK not in weights:
        return weights
    return weights.only([name for name in weights.sources if not name.startswith(_TRAINING)])


FAMILY = Family("flux3", "FLUX.3", detect, text=(FLUX3_TEXT,), in_own_layout=_used)
