"""Qwen-Image and its editors: detection, and what is known about them."""

from safelight.models.families.family import Family, NetworkFile, Variant
from safelight.models.families.qwen_image.conditioning import QwenImageConditioning
from safelight.models.families.qwen_image.latent import WAN21_LATENT
from safelight.models.families.qwen_image.lora_names import qwen_image_names
from safelight.models.families.qwen_image.network import QwenImageArchitecture, qwen_image_shape
from safelight.models.families.qwen_image.text import QWEN_IMAGE_TEXT
from safelight.models.sampling.levels import ExponentialFlowLevels
from safelight.models.sampling.parameterization import Parameterization
from safelight.models.sampling.prediction import Flow
from safelight.models.weights import UnknownWeights

LOG_SHIFT = 1.15


def detect(found: NetworkFile) -> Variant | None:
    if not {"txt_norm.weight", "img_in.weight"} <= found.shapes.keys():
        return None
    try:
        shape = qwen_image_shape(found.shapes)
    except KeyError as error:
        raise UnknownWeights(f"{found.name!r} is a Qwen-Image model without {error}") from None
    return Variant(
        name="qwen_image",
        parameterization=Parameterization(Flow(), ExponentialFlowLevels(LOG_SHIFT)),
        latent_format=WAN21_LATENT,
        architecture=QwenImageArchitecture(shape),
        conditioning=QwenImageConditioning(
            f"the Qwen-Image model {found.name!r}", shape.text_width, shape.references, WAN21_LATENT
        ),
        lora_names=qwen_image_names,
        text=QWEN_IMAGE_TEXT,
    )


FAMILY = Family("qwen_image", "Qwen-Image", detect, text=(QWEN_IMAGE_TEXT,))
