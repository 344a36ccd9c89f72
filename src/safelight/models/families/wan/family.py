"""How files of Wan 2.1 and 2.2 are told, and what is known about them."""

from safelight.models.autoencoder.wan_latents import WAN21_LATENT, WAN22_LATENT
from safelight.models.families.family import Family, NetworkFile, Variant
from safelight.models.families.wan.conditioning import WanConditioning
from safelight.models.families.wan.lora_names import wan_names
from safelight.models.families.wan.network import WanArchitecture, wan_shape
from safelight.models.families.wan.text import WAN_TEXT
from safelight.models.sampling.levels import FlowLevels
from safelight.models.sampling.parameterization import Parameterization
from safelight.models.sampling.prediction import Flow
from safelight.models.weights import UnknownWeights

SHIFT = 8.0
PICTURE_CHANNELS = 36
"""Of a network that continues a picture: the latent, a mask and the picture's latent."""


def detect(found: NetworkFile) -> Variant | None:
    if not {"head.modulation", "text_embedding.0.weight"} <= found.shapes.keys():
        return None
    try:
        shape = wan_shape(found.shapes)
    except KeyError as error:
        raise UnknownWeights(f"{found.name!r} is a Wan model without {error}") from None
    latent = WAN22_LATENT if shape.out_channels == WAN22_LATENT.channels else WAN21_LATENT
    is_small = latent is WAN22_LATENT
    return Variant(
        name="wan",
        parameterization=Parameterization(Flow(), FlowLevels(SHIFT)),
        latent_format=latent,
        architecture=WanArchitecture(shape),
        conditioning=WanConditioning(
            f"the Wan model {found.name!r}",
            shape,
            latent,
            always_masks=is_small or (shape.picture > 0 and shape.channels == PICTURE_CHANNELS and not shape.camera),
            times_frames=is_small,
        ),
        lora_names=wan_names,
        text=WAN_TEXT,
        is_clean_outside_mask=is_small,
    )


FAMILY = Family("wan", "Wan", detect, text=(WAN_TEXT,))
