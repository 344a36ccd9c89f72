"""Miniature weights of Qwen-Image 2.1."""

from safelight.models.autoencoder.qwen_image21_module import (
    Level,
    QwenImage21Autoencoder,
    QwenImage21AutoencoderShape,
)
from safelight.models.families.qwen_image21.network import QwenImage21, QwenImage21Shape
from safelight.models.language.miniature_files import qwen35_file
from safelight.models.miniatures.file import Miniature, MiniatureFile
from safelight.models.miniatures.shapes import WIDTH, qwen3_vl

NETWORK = QwenImage21Shape(
    channels=64, out_channels=64, width=256, text_width=WIDTH, feed_forward=512, layers=2, fuses=True
)
_ENCODER = (16, 16, 32, 32, 32)
AUTOENCODER = QwenImage21AutoencoderShape(
    latent=64,
    image=4,
    encoder=tuple(
        Level(first, second, 1, resamples=number < 4, in_time=0 < number < 4)
        for number, (first, second) in enumerate(zip((16, *_ENCODER), _ENCODER, strict=False))
    ),
    decoder=tuple(
        Level(first, second, 2, resamples=number < 4, in_time=number < 3)
        for number, (first, second) in enumerate(zip((32, *_ENCODER[::-1]), _ENCODER[::-1], strict=False))
    ),
)
ENHANCERS = ("qwen3.5_9b_qwen_image_2.1_pe_t2i.int8_convrot", "qwen3.5_9b_qwen_image_2.1_pe_i2i.int8_convrot")
"""The language models that rewrite prompts."""


def _files(network: str) -> tuple[MiniatureFile, ...]:
    return (
        MiniatureFile("diffusion_models", network, lambda: QwenImage21(NETWORK), format="int8_convrot"),
        MiniatureFile("text_encoders", "qwen3vl_8b_int8_convrot.safetensors", qwen3_vl, format="int8_convrot"),
        *(qwen35_file(f"{name}.safetensors", "int8_convrot") for name in ENHANCERS),
        MiniatureFile("vae", "qwen_image_2.1_vae_bf16.safetensors", lambda: QwenImage21Autoencoder(AUTOENCODER)),
    )


MINIATURES = (
    Miniature("qwen-image-2.1", _files("qwen_image_2.1_int8_convrot.safetensors")),
    Miniature("qwen-image-2.1-turbo", _files("qwen_image_2.1_turbo_int8_convrot.safetensors")),
)
