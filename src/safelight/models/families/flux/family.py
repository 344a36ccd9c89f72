"""How files of FLUX.1 are told, and what is known about each."""

from safelight.models.families.family import Family, NetworkFile, Variant
from safelight.models.families.flux.conditioning import FluxConditioning
from safelight.models.families.flux.flux_module import FluxArchitecture, flux_shape
from safelight.models.latent_format import LatentFormat
from safelight.models.sampling.levels import ExponentialFlowLevels, FlowLevels
from safelight.models.sampling.parameterization import Parameterization
from safelight.models.sampling.prediction import Flow
from safelight.models.text.clip import CLIP_L_POOLED
from safelight.models.text.recipe import TextRecipe, pooled_beside
from safelight.models.text.t5_recipe import T5Recipe
from safelight.models.transformer.stream_names import stream_names

FLUX_LATENT = LatentFormat(
    channels=16,
    scale=0.3611,
    shift=0.1159,
    rgb_factors=(
        (-0.0346, 0.0244, 0.0681),
        (0.0034, 0.0210, 0.0687),
        (0.0275, -0.0668, -0.0433),
        (-0.0174, 0.0160, 0.0617),
        (0.0859, 0.0721, 0.0329),
        (0.0004, 0.0383, 0.0115),
        (0.0405, 0.0861, 0.0915),
        (-0.0236, -0.0185, -0.0259),
        (-0.0245, 0.0250, 0.1180),
        (0.1008, 0.0755, -0.0421),
        (-0.0515, 0.0201, 0.0011),
        (0.0428, -0.0012, -0.0036),
        (0.0817, 0.0765, 0.0749),
        (-0.1264, -0.0522, -0.1103),
        (-0.0280, -0.0881, -0.0499),
        (-0.1262, -0.0982, -0.0778),
    ),
    rgb_bias=(-0.0329, -0.0718, -0.0851),
    taesd="taef1",
)

FLUX_TEXT = TextRecipe(
    {"l": CLIP_L_POOLED, "t5xxl": T5Recipe(least=256)},
    join=pooled_beside("t5xxl", pooled="l"),
    types=("flux",),
    prefixes={"l": ("text_encoders.clip_l.transformer.",), "t5xxl": ("text_encoders.t5xxl.transformer.",)},
    title="Flux",
)

_MARKS = ("double_blocks.0.img_mod.lin.weight", "single_blocks.0.modulation.lin.weight", "img_in.weight")
"""Modulation in every block: networks with the same blocks compute it once for all."""


def detect(found: NetworkFile) -> Variant | None:
    shapes = found.shapes
    if not all(mark in shapes for mark in _MARKS) or len(shapes["img_in.weight"]) != 2:
        return None
    try:
        shape = flux_shape(shapes)
    except KeyError:
        return None
    levels = ExponentialFlowLevels() if shape.has_guidance else FlowLevels(1.0, multiplier=1.0)
    return Variant(
        name="flux" if shape.has_guidance else "flux_schnell",
        parameterization=Parameterization(Flow(), levels),
        latent_format=FLUX_LATENT,
        architecture=FluxArchitecture(shape),
        conditioning=FluxConditioning(shape, FLUX_LATENT, title=f"the Flux model {found.name!r}"),
        lora_names=stream_names,
        text=FLUX_TEXT,
    )


FAMILY = Family("flux", "Flux 1", detect, text=(FLUX_TEXT,))
