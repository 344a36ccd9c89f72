"""Anima: detection, and what is known about it."""

from safelight.models.families.anima.conditioning import AnimaConditioning
from safelight.models.families.anima.network import AnimaArchitecture, anima_shape
from safelight.models.families.anima.text import ANIMA_TEXT
from safelight.models.families.family import Family, NetworkFile, Variant
from safelight.models.families.qwen_image.latent import WAN21_LATENT
from safelight.models.families.qwen_image.lora_names import qwen_image_names
from safelight.models.sampling.levels import FlowLevels
from safelight.models.sampling.parameterization import Parameterization
from safelight.models.sampling.prediction import Flow
from safelight.models.weights import UnknownWeights, Weights

SHIFT = 3.0
_MARKS = {"blocks.0.mlp.layer1.weight", "llm_adapter.embed.weight"}
_PREFIX = "net."


def in_own_layout(weights: Weights) -> Weights:
    """Files of the first publications have all names below ``net.``."""
    below = weights.below(_PREFIX)
    return below if below.shapes.keys() >= _MARKS else weights


def detect(found: NetworkFile) -> Variant | None:
    if not found.shapes.keys() >= _MARKS:
        return None
    try:
        shape = anima_shape(found.shapes)
    except KeyError as error:
        raise UnknownWeights(f"{found.name!r} is an Anima model without {error}") from None
    return Variant(
        name="anima",
        parameterization=Parameterization(Flow(), FlowLevels(SHIFT, multiplier=1.0)),
        latent_format=WAN21_LATENT,
        architecture=AnimaArchitecture(shape),
        conditioning=AnimaConditioning(f"the Anima model {found.name!r}", shape.adapter.source),
        lora_names=qwen_image_names,
        text=ANIMA_TEXT,
    )


FAMILY = Family("anima", "Anima", detect, text=(ANIMA_TEXT,), in_own_layout=in_own_layout)
