"""Stable Diffusion 1, 2 and XL with its refiner (Rombach et al. 2022, Podell et al. 2023)."""

from dataclasses import dataclass

import torch

from safelight.models.families.family import Family, NetworkFile, Variant
from safelight.models.families.stable_diffusion.conditioning import (
    Editing,
    Inpainting,
    PooledTextAndSizes,
    PooledTextSizeAndScore,
    TaskOfLotus,
    TextOnly,
)
from safelight.models.families.stable_diffusion.miniature import METADATA, miniature
from safelight.models.latent_format import LatentFormat
from safelight.models.lora.names import unet_names
from safelight.models.sampling.levels import DiscreteLevels
from safelight.models.sampling.parameterization import Parameterization
from safelight.models.sampling.prediction import ImageToImage, Noise, Velocity
from safelight.models.stored_network import ConditioningAdapter
from safelight.models.text.clip import CLIP_G_PENULTIMATE, CLIP_H, CLIP_L, CLIP_L_PENULTIMATE
from safelight.models.text.recipe import TextRecipe
from safelight.models.unet.diffusers_layout import in_original_layout
from safelight.models.unet.shape import UNetShape, unet_shape
from safelight.models.unet.unet_module import Heads, UNetArchitecture
from safelight.models.weights import UnknownWeights, Weights, json_metadata

INPAINTING_CHANNELS = 9
EDITING_CHANNELS = 8

SD1_LATENT = LatentFormat(
    scale=0.18215,
    rgb_factors=(
        (0.3512, 0.2297, 0.3227),
        (0.3250, 0.4974, 0.2350),
        (-0.2829, 0.1762, 0.2721),
        (-0.2120, -0.2616, -0.7177),
    ),
    taesd="taesd",
)

SDXL_LATENT = LatentFormat(
    scale=0.13025,
    rgb_factors=(
        (0.3651, 0.4232, 0.4341),
        (-0.2533, -0.0042, 0.1068),
        (0.1076, 0.1111, -0.0362),
        (-0.3165, -0.2492, -0.2188),
    ),
    rgb_bias=(0.1084, -0.0175, -0.0011),
    taesd="taesdxl",
)

BLANK = (0.8223, -0.6876, 0.6364, 0.1380)
"""The latent of an empty image in SD1 and 2."""
XL_BLANK = (0.0, 0.0, 0.0, 0.0)

SD1_TEXT = TextRecipe(
    {"l": CLIP_L},
    types=("stable_diffusion",),
    prefixes={"l": ("cond_stage_model.transformer.", "cond_stage_model.")},
    title="Stable Diffusion 1",
)
SD2_TEXT = TextRecipe(
    {"h": CLIP_H},
    types=("stable_diffusion",),
    prefixes={"h": ("cond_stage_model.model.",)},
    title="Stable Diffusion 2",
)
SDXL_TEXT = TextRecipe(
    {"l": CLIP_L_PENULTIMATE, "g": CLIP_G_PENULTIMATE},
    types=("sdxl",),
    prefixes={"l": ("conditioner.embedders.0.transformer.",), "g": ("conditioner.embedders.1.model.",)},
    title="SDXL",
)
REFINER_TEXT = TextRecipe(
    {"g": CLIP_G_PENULTIMATE},
    types=("stable_diffusion",),
    prefixes={"g": ("conditioner.embedders.0.model.",)},
    title="SDXL's refiner",
)


@dataclass(frozen=True)
class _Kind:
    """What distinguishes the family's members."""

    name: str
    heads: Heads
    conditioning: ConditioningAdapter
    text: TextRecipe
    latent_format: LatentFormat = SD1_LATENT
    blank: tuple[float, ...] = BLANK

    def variant(self, shape: UNetShape, parameterization: Parameterization) -> Variant:
        return Variant(
            self.name,
            parameterization,
            self.latent_format,
            UNetArchitecture(shape, self.heads),
            self._conditioning(shape.in_channels),
            unet_names,
            self.text,
        )

    def _conditioning(self, channels: int) -> ConditioningAdapter:
        if channels == INPAINTING_CHANNELS:
            return Inpainting(self.conditioning, self.latent_format, self.blank)
        return Editing(self.conditioning) if channels == EDITING_CHANNELS else self.conditioning


SD1 = _Kind("sd1", Heads(count=8), TextOnly(), SD1_TEXT)
SD2 = _Kind("sd2", Heads(width=64), TextOnly(), SD2_TEXT)
SDXL = _Kind("sdxl", Heads(width=64), PooledTextAndSizes(), SDXL_TEXT, SDXL_LATENT, XL_BLANK)
SDXL_REFINER = _Kind("sdxl_refiner", Heads(width=64), PooledTextSizeAndScore(), REFINER_TEXT, SDXL_LATENT, XL_BLANK)
LOTUS = _Kind("lotus", Heads(width=64), TaskOfLotus(), SD2_TEXT)
KINDS = {(768, 0): SD1, (1024, 0): SD2, (1024, 4): LOTUS, (2048, 2816): SDXL, (1280, 2560): SDXL_REFINER}
"""By the features of a conditioning token and of the pooled condition."""

_VELOCITY_MARK = "output_blocks.11.1.transformer_blocks.0.norm1.bias"
_VELOCITY_DEVIATION = 0.09
"""SD2 files do not say what they predict; those that predict velocity have a larger deviation in this bias."""


def detect(found: NetworkFile) -> Variant | None:
    try:
        shape = unet_shape(found.shapes)
    except KeyError:
        return None
    if (settings := json_metadata(found.file, METADATA)) is not None:
        try:
            return miniature(settings, shape)
        except KeyError as error:
            raise UnknownWeights(f"{found.name!r} has {METADATA} metadata without {error}") from None
    kind = KINDS.get((shape.context, shape.vector))
    if kind is None:
        raise UnknownWeights(
            f"{found.name!r} contains a UNet with {shape.context} conditioning and {shape.vector} pooled features, "
            "which matches no supported family"
        )
    marks = {key for key in found.file.shapes if "." not in key}  # v-prediction files have names outside of networks
    if "v_pred" in marks:
        return kind.variant(shape, Parameterization(Velocity(), DiscreteLevels(zero_terminal="ztsnr" in marks)))
    if kind is LOTUS:
        return kind.variant(shape, Parameterization(ImageToImage(), DiscreteLevels()))
    is_velocity = kind is SD2 and shape.in_channels == 4 and _predicts_velocity(found.weights)
    return kind.variant(shape, Parameterization(Velocity() if is_velocity else Noise(), DiscreteLevels()))


def _predicts_velocity(unet: Weights) -> bool:
    if _VELOCITY_MARK not in unet:
        return False
    ((_, bias),) = unet.read([_VELOCITY_MARK])
    return float(torch.std(bias.float(), unbiased=False)) > _VELOCITY_DEVIATION


FAMILY = Family(
    "stable_diffusion",
    "Stable Diffusion 1, 2 and XL",
    detect,
    text=(SD1_TEXT, SD2_TEXT, REFINER_TEXT, SDXL_TEXT),
    in_own_layout=in_original_layout,
)
