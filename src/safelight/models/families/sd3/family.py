"""How files of Stable Diffusion 3 and 3.5 are told, and what is known about them."""

from safelight.models.families.family import Family, NetworkFile, Variant
from safelight.models.families.sd3.conditioning import SD3Conditioning
from safelight.models.families.sd3.lora_names import mmdit_names
from safelight.models.families.sd3.mmdit_module import MMDiTArchitecture, mmdit_shape
from safelight.models.families.sd3.text import SD3_TEXT
from safelight.models.latent_format import LatentFormat
from safelight.models.sampling.levels import FlowLevels
from safelight.models.sampling.parameterization import Parameterization
from safelight.models.sampling.prediction import Flow

SD3_LATENT = LatentFormat(
    channels=16,
    scale=1.5305,
    shift=0.0609,
    rgb_factors=(
        (-0.0922, -0.0175, 0.0749),
        (0.0311, 0.0633, 0.0954),
        (0.1994, 0.0927, 0.0458),
        (0.0856, 0.0339, 0.0902),
        (0.0587, 0.0272, -0.0496),
        (-0.0006, 0.1104, 0.0309),
        (0.0978, 0.0306, 0.0427),
        (-0.0042, 0.1038, 0.1358),
        (-0.0194, 0.0020, 0.0669),
        (-0.0488, 0.0130, -0.0268),
        (0.0922, 0.0988, 0.0951),
        (-0.0278, 0.0524, -0.0542),
        (0.0332, 0.0456, 0.0895),
        (-0.0069, -0.0030, -0.0810),
        (-0.0596, -0.0465, -0.0293),
        (-0.1448, -0.1463, -0.1189),
    ),
    rgb_bias=(0.2394, 0.2135, 0.1925),
    taesd="taesd3",
)

_MARK = "joint_blocks.0.context_block.attn.qkv.weight"


def detect(found: NetworkFile) -> Variant | None:
    if _MARK not in found.shapes:
        return None
    try:
        shape = mmdit_shape(found.shapes)
    except KeyError:
        return None
    return Variant(
        name="sd3",
        parameterization=Parameterization(Flow(), FlowLevels(3.0)),
        latent_format=SD3_LATENT,
        architecture=MMDiTArchitecture(shape),
        conditioning=SD3Conditioning(shape, title=f"the Stable Diffusion 3 model {found.name!r}"),
        lora_names=mmdit_names,
        text=SD3_TEXT,
    )


FAMILY = Family("sd3", "Stable Diffusion 3", detect, text=(SD3_TEXT,))
