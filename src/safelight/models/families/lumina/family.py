"""Lumina Image 2.0 and Z-Image: detection, and what is known about the two."""

from safelight.models.families.family import Family, NetworkFile, Variant
from safelight.models.families.flux.family import FLUX_LATENT
from safelight.models.families.lumina.conditioning import NextDiTConditioning
from safelight.models.families.lumina.lora_names import nextdit_names
from safelight.models.families.lumina.network import NextDiTArchitecture, nextdit_shape
from safelight.models.language.architecture import GEMMA2, QWEN3
from safelight.models.language.recipe import GEMMA_TOKENS, LanguageRecipe, qwen_recipe
from safelight.models.sampling.levels import FlowLevels
from safelight.models.sampling.parameterization import Parameterization
from safelight.models.sampling.prediction import Flow
from safelight.models.text.recipe import TextRecipe
from safelight.models.weights import UnknownWeights

LUMINA_SHIFT, Z_IMAGE_SHIFT = 6.0, 3.0

Z_IMAGE_TEXT = TextRecipe(
    {
        "qwen3_4b": qwen_recipe(
            "qwen3",
            "Qwen3",
            QWEN3,
            template="<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
            states=(-2,),
        )
    },
    types=("lumina2",),
    prefixes={"qwen3_4b": ("text_encoders.qwen3_4b.transformer.",)},
    title="Z-Image",
)
LUMINA_TEXT = TextRecipe(
    {"gemma2_2b": LanguageRecipe("gemma2", "Gemma 2", GEMMA2, special=GEMMA_TOKENS, states=(-2,), is_weighted=True)},
    types=("lumina2",),
    prefixes={"gemma2_2b": ("text_encoders.gemma2_2b.transformer.",)},
    title="Lumina Image 2",
)


def detect(found: NetworkFile) -> Variant | None:
    if "cap_embedder.1.weight" not in found.shapes or "noise_refiner.0.attention.qkv.weight" not in found.shapes:
        return None
    if "clip_text_pooled_proj.0.weight" in found.shapes:
        raise UnknownWeights(f"{found.name!r} is a NewBie model, which is not supported")
    try:
        shape = nextdit_shape(found.shapes)
    except KeyError as error:
        raise UnknownWeights(f"{found.name!r} is a Lumina model without {error}") from None
    name, title, encoder, text, shift = (
        ("z_image", "Z-Image", "Qwen3 4B", Z_IMAGE_TEXT, Z_IMAGE_SHIFT)
        if shape.is_z_image
        else ("lumina2", "Lumina Image 2", "Gemma 2", LUMINA_TEXT, LUMINA_SHIFT)
    )
    return Variant(
        name=name,
        parameterization=Parameterization(Flow(), FlowLevels(shift, multiplier=1.0)),
        latent_format=FLUX_LATENT,
        architecture=NextDiTArchitecture(shape),
        conditioning=NextDiTConditioning(f"the {title} model {found.name!r}", encoder, shape.text_width),
        lora_names=nextdit_names,
        text=text,
    )


FAMILY = Family("lumina", "Lumina Image 2 and Z-Image", detect, text=(Z_IMAGE_TEXT, LUMINA_TEXT))
