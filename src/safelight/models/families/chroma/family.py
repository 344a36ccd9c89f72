"""How files of Chroma are told, and what is known about them."""

from safelight.models.families.chroma.chroma_module import ChromaArchitecture, chroma_shape
from safelight.models.families.chroma.conditioning import ChromaConditioning
from safelight.models.families.family import Family, NetworkFile, Variant
from safelight.models.families.flux.family import FLUX_LATENT
from safelight.models.sampling.levels import ExponentialFlowLevels
from safelight.models.sampling.parameterization import Parameterization
from safelight.models.sampling.prediction import Flow
from safelight.models.text.recipe import TextRecipe
from safelight.models.text.t5_recipe import T5Recipe
from safelight.models.transformer.stream_names import stream_names

CHROMA_TEXT = TextRecipe(
    {"t5xxl": T5Recipe(least=1, ends_empty=False)},
    types=("chroma",),
    prefixes={"t5xxl": ("text_encoders.t5xxl.transformer.",)},
    title="Chroma",
)

_MARK = "distilled_guidance_layer.in_proj.weight"


def detect(found: NetworkFile) -> Variant | None:
    if _MARK not in found.shapes:
        return None
    try:
        shape = chroma_shape(found.shapes)
    except KeyError:
        return None
    return Variant(
        name="chroma",
        parameterization=Parameterization(Flow(), ExponentialFlowLevels()),
        latent_format=FLUX_LATENT,
        architecture=ChromaArchitecture(shape),
        conditioning=ChromaConditioning(shape, title=f"the Chroma model {found.name!r}"),
        lora_names=stream_names,
        text=CHROMA_TEXT,
    )


FAMILY = Family("chroma", "Chroma", detect, text=(CHROMA_TEXT,))
