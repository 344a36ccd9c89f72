"""Miniature weights of Stable Diffusion 3.5."""

from dataclasses import replace

import torch
from torch import nn

from safelight.models.families.sd3.control import SD3Control
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


def _control(name: str, kind: float) -> MiniatureFile:
    shape = replace(LARGE, context=0, out_channels=0, grid=0, blocks=2, norms_heads=False)
    mark = {"control_type": lambda: torch.tensor([kind])}

    def build() -> nn.Module:
        module = SD3Control(shape)
        del module.orig_y_embedder  # the main network's
        return module

    return MiniatureFile("controlnet", f"sd3.5_large_controlnet_{name}.safetensors", build, more=mark)


MINIATURES = (
    Miniature("sd3.5-controls", (_control("blur", 0.0), _control("canny", 1.0), _control("depth", 2.0))),
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
