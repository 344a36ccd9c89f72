"""How files of FLUX.2 are told, and what is known about each."""

from safelight.models.families.family import Family, NetworkFile, Variant
from safelight.models.families.flux2.conditioning import Flux2Conditioning
from safelight.models.families.flux2.flux2_module import Flux2Architecture, flux2_shape
from safelight.models.language.architecture import MISTRAL3, QWEN3
from safelight.models.language.recipe import MISTRAL_TOKENS, LanguageRecipe, qwen_recipe
from safelight.models.latent_format import LatentFormat
from safelight.models.sampling.levels import ExponentialFlowLevels
from safelight.models.sampling.parameterization import Parameterization
from safelight.models.sampling.prediction import Flow
from safelight.models.text.recipe import TextRecipe
from safelight.models.transformer.stream_names import stream_names

_COLORS = (
    (0.0058, 0.0113, 0.0073),
    (0.0495, 0.0443, 0.0836),
    (-0.0099, 0.0096, 0.0644),
    (0.2144, 0.3009, 0.3652),
    (0.0166, -0.0039, -0.0054),
    (0.0157, 0.0103, -0.0160),
    (-0.0398, 0.0902, -0.0235),
    (-0.0052, 0.0095, 0.0109),
    (-0.3527, -0.2712, -0.1666),
    (-0.0301, -0.0356, -0.0180),
    (-0.0107, 0.0078, 0.0013),
    (0.0746, 0.0090, -0.0941),
    (0.0156, 0.0169, 0.0070),
    (-0.0034, -0.0040, -0.0114),
    (0.0032, 0.0181, 0.0080),
    (-0.0939, -0.0008, 0.0186),
    (0.0018, 0.0043, 0.0104),
    (0.0284, 0.0056, -0.0127),
    (-0.0024, -0.0022, -0.0030),
    (0.1207, -0.0026, 0.0065),
    (0.0128, 0.0101, 0.0142),
    (0.0137, -0.0072, -0.0007),
    (0.0095, 0.0092, -0.0059),
    (0.0000, -0.0077, -0.0049),
    (-0.0465, -0.0204, -0.0312),
    (0.0095, 0.0012, -0.0066),
    (0.0290, -0.0034, 0.0025),
    (0.0220, 0.0169, -0.0048),
    (-0.0332, -0.0457, -0.0468),
    (-0.0085, 0.0389, 0.0609),
    (-0.0076, 0.0003, -0.0043),
    (-0.0111, -0.0460, -0.0614),
)
"""For each channel of the autoencoder, whose squares of four pixels are the channels of the latent."""

FLUX2_LATENT = LatentFormat(
    channels=128,
    downscale=16,
    rgb_factors=_COLORS,
    rgb_bias=(-0.0329, -0.0718, -0.0851),
    preview_patch=2,
)

DEV_TEXT = TextRecipe(
    {
        "mistral3_24b": LanguageRecipe(
            "mistral3",
            "Mistral Small 3",
            MISTRAL3,
            MISTRAL_TOKENS,
            template="[SYSTEM_PROMPT]You are an AI that reasons about image descriptions. You give structured "
            "responses focusing on object relationships, object\nattribution and actions without speculation."
            "[/SYSTEM_PROMPT][INST]{}[/INST]",
            states=(10, 20, 30),
        )
    },
    types=("flux2",),
    title="Flux 2 dev",
)
KLEIN_TEXT = TextRecipe(
    {
        "qwen3": qwen_recipe(
            "qwen3",
            "Qwen3",
            QWEN3,
            template="<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
            states=(9, 18, 27),
            least=512,
        )
    },
    types=("flux2",),
    title="Flux 2 klein",
)

_MARK = "double_stream_modulation_img.lin.weight"


def detect(found: NetworkFile) -> Variant | None:
    if _MARK not in found.shapes:
        return None
    try:
        shape = flux2_shape(found.shapes)
    except KeyError:
        return None
    return Variant(
        name="flux2" if shape.has_guidance else "flux2_klein",
        parameterization=Parameterization(Flow(), ExponentialFlowLevels(2.02)),
        latent_format=FLUX2_LATENT,
        architecture=Flux2Architecture(shape),
        conditioning=Flux2Conditioning(shape, title=f"the Flux 2 model {found.name!r}"),
        lora_names=stream_names,
        text=TextRecipe({}),
    )


FAMILY = Family("flux2", "Flux 2", detect, text=(DEV_TEXT, KLEIN_TEXT))
