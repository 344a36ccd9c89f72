"""Stable Diffusion 1, 2 and XL with its refiner (Rombach et al. 2022, Podell et al. 2023)."""

from dataclasses import replace
from typing import Any

import torch

from safelight.models.families.conditioning import (
    Editing,
    Inpainting,
    PooledTextAndSizes,
    PooledTextSizeAndScore,
    TextOnly,
)
from safelight.models.families.family import Family
from safelight.models.latent_format import LatentFormat
from safelight.models.sampling.levels import DiscreteLevels
from safelight.models.sampling.parameterization import Parameterization
from safelight.models.sampling.prediction import Noise, Velocity
from safelight.models.text.recipe import CLIP_G_PENULTIMATE, CLIP_H, CLIP_L, CLIP_L_PENULTIMATE, TextRecipe
from safelight.models.unet.shape import UNetShape
from safelight.models.unet.unet_module import Heads
from safelight.models.weights import Weights

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

SD1 = Family(
    name="sd1",
    parameterization=Parameterization(Noise(), DiscreteLevels()),
    latent_format=SD1_LATENT,
    heads=Heads(count=8),
    conditioning=TextOnly(),
    text=TextRecipe({"l": CLIP_L}),
)

SD2 = replace(SD1, name="sd2", heads=Heads(width=64), text=TextRecipe({"h": CLIP_H}))

SDXL = Family(
    name="sdxl",
    parameterization=Parameterization(Noise(), DiscreteLevels()),
    latent_format=SDXL_LATENT,
    heads=Heads(width=64),
    conditioning=PooledTextAndSizes(),
    text=TextRecipe({"l": CLIP_L_PENULTIMATE, "g": CLIP_G_PENULTIMATE}),
)

SDXL_REFINER = replace(
    SDXL,
    name="sdxl_refiner",
    conditioning=PooledTextSizeAndScore(),
    text=TextRecipe({"g": CLIP_G_PENULTIMATE}),
)

_VELOCITY_MARK = "output_blocks.11.1.transformer_blocks.0.norm1.bias"
_VELOCITY_DEVIATION = 0.09
"""SD2 files do not say what they predict; those that predict velocity have a larger deviation in this bias."""


def detect_family(shape: UNetShape, unet: Weights, marks: frozenset[str]) -> Family | None:
    """The family of a UNet, or ``None``. ``marks``: names in the checkpoint outside of its networks, which v-prediction
    files have."""
    family = {(768, 0): SD1, (1024, 0): SD2, (2048, 2816): SDXL, (1280, 2560): SDXL_REFINER}.get(
        (shape.context, shape.vector)
    )
    if family is None:
        return None
    if family is SD2 and shape.in_channels == 4 and _predicts_velocity(unet):
        family = _with_velocity(family)
    if "v_pred" in marks:
        family = _with_velocity(family, zero_terminal="ztsnr" in marks)
    if shape.in_channels == INPAINTING_CHANNELS:
        blank = XL_BLANK if family.latent_format is SDXL_LATENT else BLANK
        return replace(family, conditioning=Inpainting(family.conditioning, family.latent_format, blank))
    if shape.in_channels == EDITING_CHANNELS:
        return replace(family, conditioning=Editing(family.conditioning))
    return family


def _with_velocity(family: Family, **levels: Any) -> Family:
    return replace(family, parameterization=Parameterization(Velocity(), DiscreteLevels(**levels)))


def _predicts_velocity(unet: Weights) -> bool:
    if _VELOCITY_MARK not in unet:
        return False
    ((_, bias),) = unet.read([_VELOCITY_MARK])
    return float(torch.std(bias.float(), unbiased=False)) > _VELOCITY_DEVIATION
