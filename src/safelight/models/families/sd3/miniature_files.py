"""Miniature weights of Stable Diffusion 3.5."""

from dataclasses import replace

from torch import nn

from safelight.models.families.sd3.mmdit_module import MMDiT, MMDiTShape
from safelight.models.miniatures.file import Miniature, MiniatureFile
from safelight.models.miniatures.shapes import CLIP_L, T5, Joined, clip_g, clip_l, image_autoencoder, t5

LARGE = MMDiTShape(
    width=256,
    channels=16,
    out_channels=16,
    patch=2,
    context=2048,
    pooled=2048,
    inner=512,
    grid=192,
    blocks=3,
    norms_heads=True,
)
"""``context``: as wide as both CLIPs, because the miniature of T5 is narrower."""
MEDIUM = replace(LARGE, second_attention=frozenset({0, 1}))


def _checkpoint(shape: MMDiTShape) -> nn.Module:
    return Joined(
        model__diffusion_model=MMDiT(shape),
        text_encoders__clip_l__transformer=clip_l(),
        text_encoders__clip_g__transformer=clip_g(),
        text_encoders__t5xxl__transformer=t5(),
        first_stage_model=image_autoencoder(),
    )


MINIATURES = (
    Miniature(
        "sd3.5-large",
        (
            MiniatureFile(
                "checkpoints", "sd3.5_large_fp8_scaled.safetensors", lambda: _checkpoint(LARGE), format="fp8_e4m3fn"
            ),
            MiniatureFile("checkpoints", "sd3.5_large.safetensors", lambda: MMDiT(LARGE), "model.diffusion_model."),
            CLIP_L,
            MiniatureFile("text_encoders", "clip_g.safetensors", clip_g),
            *T5,
        ),
    ),
    Miniature(
        "sd3.5-medium",
        (MiniatureFile("checkpoints", "sd3.5_medium.safetensors", lambda: _checkpoint(MEDIUM)),),
    ),
)
