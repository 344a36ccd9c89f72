"""Miniature weights of Qwen-Image and its editors."""

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from safelight.models.autoencoder.wan_module import Part, WanAutoencoder, WanShape
from safelight.models.families.qwen_image.control import QwenImageControl
from safelight.models.families.qwen_image.model_patch import QwenImageBlockControl
from safelight.models.families.qwen_image.network import QwenImage, QwenImageShape
from safelight.models.language.architecture import QWEN25_VL
from safelight.models.language.picture_recipe import PictureDecoder
from safelight.models.miniatures.file import Miniature, MiniatureFile
from safelight.models.miniatures.shapes import WIDTH, decoder, lora
from safelight.models.vision_tower.qwen25 import Qwen25Vision, Qwen25VisionShape
from safelight.models.weights import Weights

NETWORK = QwenImageShape(
    channels=16,
    out_channels=16,
    width=256,
    text_width=WIDTH,
    feed_forward=512,
    heads=2,
    layers=2,
    has_layer_table=False,
    references="index",
)
EDIT_2511 = replace(NETWORK, references="index_timestep_zero")
LAYERED = replace(NETWORK, has_layer_table=True, references="negative_index")
_VOCABULARY = 152064


def autoencoder_shape(image: int = 3) -> WanShape:
    """The autoencoder of Wan 2.1 with few channels; ``image``: those of pictures."""
    widths = (16, 16, 32, 32)
    down = [
        Part(16, 16),
        Part(16, 16, resamples=True),
        Part(16, 32),
        Part(32, 32, resamples=True, in_time=True),
        Part(32, 32),
        Part(32, 32, resamples=True, in_time=True),
        Part(32, 32),
    ]
    up = [
        Part(32, 32),
        Part(32, 16, resamples=True, in_time=True),
        Part(16, 32),
        Part(32, 16, resamples=True, in_time=True),
        Part(16, 16),
        Part(16, 16, resamples=True),
        Part(16, 16),
    ]
    return WanShape(16, image, widths[0], widths[-1], tuple(down), tuple(up), 16)


def _network(name: str, format: str = "fp8_e4m3fn", shape: QwenImageShape = NETWORK) -> MiniatureFile:
    return MiniatureFile("diffusion_models", name, lambda: QwenImage(shape), format=format)


def _text_encoder(name: str, format: str) -> MiniatureFile:
    vision = Qwen25VisionShape(width=256, feed_forward=256, layers=2, out_width=WIDTH, patch=14)

    def build() -> PictureDecoder:
        return PictureDecoder(decoder(QWEN25_VL, vocabulary=_VOCABULARY).shape, Qwen25Vision(vision))

    return MiniatureFile("text_encoders", name, build, format=format)


def _autoencoder(name: str, **changes: Any) -> MiniatureFile:
    return MiniatureFile("vae", name, lambda: WanAutoencoder(autoencoder_shape(**changes)), format="fp32")


TEXT = _text_encoder("qwen_2.5_vl_7b_fp8_scaled.safetensors", "fp8_scaled_old")
VAE = _autoencoder("qwen_image_vae.safetensors")

_CHANGED = {f"transformer_blocks.{number}.attn.{part}": (256, 256) for number in range(2) for part in ("to_q", "to_k")}


def _loras(*names: str) -> tuple[MiniatureFile, ...]:
    return tuple(lora(f"{name}.safetensors", _CHANGED) for name in names)


def _control(name: str, channels: int) -> MiniatureFile:
    return MiniatureFile("controlnet", f"{name}.safetensors", lambda: QwenImageControl(NETWORK, channels))


_BLOCKS = MiniatureFile(
    "model_patches",
    "qwen_image_canny_diffsynth_controlnet.safetensors",
    lambda: QwenImageBlockControl(Weights({}), NETWORK.width, NETWORK.channels, NETWORK.layers).build(),
)


def _marigold(kind: str) -> MiniatureFile:
    """What the network of Marigold v2 is conditioned on instead of a prompt."""
    made = {"conditioning": lambda: torch.randn(1, 8, WIDTH, generator=torch.Generator().manual_seed(5))}
    return MiniatureFile("embeddings", f"marigold_v2_{kind}_conditioning.safetensors", nn.Module, more=made)


MINIATURES = (
    Miniature("marigold-v2", (_marigold("albedo"), _marigold("depth"), _marigold("normals"))),
    Miniature(
        "qwen-image-controls",
        (
            _control("Qwen-Image-InstantX-ControlNet-Union", 16),
            _control("Qwen-Image-InstantX-ControlNet-Inpainting", 17),
            _BLOCKS,
        ),
    ),
    Miniature(
        "qwen-image",
        (
            _network("qwen_image_fp8_e4m3fn.safetensors"),
            TEXT,
            VAE,
            *_loras("Qwen-Image-Lightning-8steps-V1.0", "Qwen-Image-Lightning-4steps-V1.0", "gummycandy_qwen"),
            *_loras("illustration-1.0-qwen-image", "qwen_image_union_diffsynth_lora"),
        ),
    ),
    Miniature(
        "qwen-image-2512",
        (
            _network("qwen_image_2512_fp8_e4m3fn.safetensors"),
            TEXT,
            VAE,
            *_loras("Qwen-Image-2512-Lightning-4steps-V1.0-fp32", "qwen-360-diffusion-2512-int8-bf16-v2"),
            *_loras("Wuli-Qwen-Image-2512-Turbo-LoRA-2steps-V1.0-bf16"),
        ),
    ),
    Miniature("qwen-image-edit", (_network("qwen_image_edit_fp8_e4m3fn.safetensors"), TEXT, VAE)),
    Miniature("qwen-image-edit-2509", (_network("qwen_image_edit_2509_fp8_e4m3fn.safetensors"), TEXT, VAE)),
    Miniature(
        "qwen-image-edit-2511", (_network("qwen_image_edit_2511_bf16.safetensors", "bf16", EDIT_2511), TEXT, VAE)
    ),
    Miniature(
        "qwen-image-layered",
        (
            _network("qwen_image_layered_bf16.safetensors", "bf16", LAYERED),
            TEXT,
            _autoencoder("qwen_image_layered_vae.safetensors", image=4),
        ),
    ),
)
