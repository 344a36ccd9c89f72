"""How files of HiDream are told, and what is known about them."""

from safelight.models.families.family import Family, NetworkFile, Variant
from safelight.models.families.flux.family import FLUX_LATENT
from safelight.models.families.hidream.conditioning import HiDreamConditioning
from safelight.models.families.hidream.hidream_module import HiDreamArchitecture, hidream_shape
from safelight.models.families.hidream.text import HIDREAM_TEXT
from safelight.models.lora.names import own_names
from safelight.models.sampling.levels import FlowLevels
from safelight.models.sampling.parameterization import Parameterization
from safelight.models.sampling.prediction import Flow

_MARK = "caption_projection.0.linear.weight"


def detect(found: NetworkFile) -> Variant | None:
    if _MARK not in found.shapes:
        return None
    try:
        shape = hidream_shape(found.shapes)
    except KeyError:
        return None
    return Variant(
        name="hidream",
        parameterization=Parameterization(Flow(), FlowLevels(1.0)),
        latent_format=FLUX_LATENT,
        architecture=HiDreamArchitecture(shape),
        conditioning=HiDreamConditioning(shape, FLUX_LATENT, title=f"the HiDream model {found.name!r}"),
        lora_names=own_names,
        text=HIDREAM_TEXT,
    )


FAMILY = Family("hidream", "HiDream", detect, text=(HIDREAM_TEXT,))
