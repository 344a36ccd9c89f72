"""Qwen-Image 2.1: detection, and what is known about it. There was no ComfyUI with this family to compare with: network
and autoencoder are compared with diffusers' classes, and the prompt is that of its pipeline."""

from safelight.models.families.family import Family, NetworkFile, Variant
from safelight.models.families.qwen_image.lora_names import qwen_image_names
from safelight.models.families.qwen_image21.conditioning import QwenImage21Conditioning
from safelight.models.families.qwen_image21.latent import QWEN_IMAGE21_LATENT
from safelight.models.families.qwen_image21.network import MARK, QwenImage21Architecture, qwen_image21_shape
from safelight.models.families.qwen_image21.text import QWEN_IMAGE21_TEXT
from safelight.models.sampling.levels import ExponentialFlowLevels
from safelight.models.sampling.parameterization import Parameterization
from safelight.models.sampling.prediction import Flow
from safelight.models.weights import UnknownWeights

LOG_SHIFT = 1.15
"""Of pictures with about a million pixels, for which the model was trained."""


def detect(found: NetworkFile) -> Variant | None:
    if MARK not in found.shapes:
        return None
    try:
        shape = qwen_image21_shape(found.shapes)
    except KeyError as error:
        raise UnknownWeights(f"{found.name!r} is a Qwen-Image 2.1 model without {error}") from None
    return Variant(
        name="qwen_image21",
        parameterization=Parameterization(Flow(), ExponentialFlowLevels(LOG_SHIFT)),
        latent_format=QWEN_IMAGE21_LATENT,
        architecture=QwenImage21Architecture(shape),
        conditioning=QwenImage21Conditioning(f"the Qwen-Image 2.1 model {found.name!r}", shape.text_width),
        lora_names=qwen_image_names,
        text=QWEN_IMAGE21_TEXT,
    )


FAMILY = Family("qwen_image21", "Qwen-Image 2.1", detect, text=(QWEN_IMAGE21_TEXT,))
