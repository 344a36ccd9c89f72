"""MiniMax H3: detection, and what is known about it. There was no ComfyUI with this family to compare with: network and
autoencoders are compared with diffusers' classes, the prompt and the sequence with its pipeline."""

from safelight.models.families.family import Family, NetworkFile, Variant
from safelight.models.families.minimax_h3.conditioning import H3Conditioning
from safelight.models.families.minimax_h3.latent import H3_LATENT
from safelight.models.families.minimax_h3.lora_names import h3_names
from safelight.models.families.minimax_h3.network import MARK, H3Architecture, h3_shape
from safelight.models.families.minimax_h3.text import H3_TEXT
from safelight.models.sampling.levels import FlowLevels
from safelight.models.sampling.parameterization import Parameterization
from safelight.models.sampling.prediction import Flow
from safelight.models.weights import UnknownWeights, Weights

FILM_SHIFT = 12.0
_COMPUTED = "rope.inv_freq"
_SPARSE = ".to_gate_compress."
"""Layers of models that were trained with sparse attention, which dense attention does not need."""


def detect(found: NetworkFile) -> Variant | None:
    if MARK not in found.shapes:
        return None
    try:
        shape = h3_shape(found.shapes)
    except KeyError as error:
        raise UnknownWeights(f"{found.name!r} is a MiniMax H3 model without {error}") from None
    return Variant(
        name="minimax_h3",
        parameterization=Parameterization(Flow(), FlowLevels(shift=FILM_SHIFT, multiplier=1.0)),
        latent_format=H3_LATENT,
        architecture=H3Architecture(shape),
        conditioning=H3Conditioning(f"the MiniMax H3 model {found.name!r}", shape.text_width),
        lora_names=h3_names,
        text=H3_TEXT,
    )


def _used(weights: Weights) -> Weights:
    if MARK not in weights:
        return weights
    return weights.only([name for name in weights.sources if name != _COMPUTED and _SPARSE not in name])


FAMILY = Family("minimax_h3", "MiniMax H3", detect, text=(H3_TEXT,), in_own_layout=_used)
