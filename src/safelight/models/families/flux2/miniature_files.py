"""Miniature weights of FLUX.2."""

import base64
import json
from dataclasses import replace

import torch
from torch import nn

from safelight.models.autoencoder.autoencoder_module import Autoencoder, AutoencoderShape
from safelight.models.families.flux2.flux2_module import Flux2, Flux2Shape
from safelight.models.language.architecture import MISTRAL3, QWEN3
from safelight.models.miniatures.file import Miniature, MiniatureFile
from safelight.models.miniatures.shapes import QWEN_3_4B, WIDTH, Lora, decoder
from safelight.models.transformer.streams import StreamShape

MISTRAL_VOCABULARY = 1024
DEV = Flux2Shape(
    StreamShape(width=256, heads=2, inner=512, is_gated=True, qkv_bias=False, bias=False, modulates=False),
    channels=128,
    context=3 * WIDTH,
    double_blocks=2,
    single_blocks=2,
    has_guidance=True,
)
KLEIN_9B = replace(DEV, has_guidance=False)
KLEIN_4B = replace(KLEIN_9B, context=WIDTH)
"""Its text encoder is the one of Z-Image, whose miniature has too few layers for three of them."""
LATENT = AutoencoderShape(32, (32, 32, 64, 64), blocks=1, has_attention=True, has_quant=True, normalizes=True)


def tekken() -> torch.Tensor:
    """A vocabulary of single bytes in the format of Mistral's, as the bytes of a file."""
    special = [{"rank": rank, "token_str": f"<SPECIAL_{rank}>"} for rank in range(20)]
    for rank, name in ((0, "<unk>"), (1, "<s>"), (2, "</s>"), (3, "[INST]"), (4, "[/INST]"), (11, "<pad>")):
        special[rank]["token_str"] = name
    special[17]["token_str"], special[18]["token_str"] = "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"
    vocabulary = [{"rank": byte, "token_bytes": base64.b64encode(bytes([byte])).decode()} for byte in range(256)]
    settings = {"default_vocab_size": len(special) + len(vocabulary), "pattern": r"\s+|\S+"}
    data = json.dumps({"config": settings, "vocab": vocabulary, "special_tokens": special}).encode()
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


def _network(name: str, shape: Flux2Shape, format: str = "bf16") -> MiniatureFile:
    return MiniatureFile("diffusion_models", name, lambda: Flux2(shape), format=format)


def _mistral(name: str, format: str) -> MiniatureFile:
    return MiniatureFile(
        "text_encoders",
        name,
        lambda: decoder(MISTRAL3, vocabulary=MISTRAL_VOCABULARY, layers=30),
        format=format,
        more={"tekken_model": tekken},
    )


def _vae(name: str, shape: AutoencoderShape) -> MiniatureFile:
    return MiniatureFile("vae", name, lambda: Autoencoder(shape), format="fp32")


def _lora(name: str) -> MiniatureFile:
    return MiniatureFile("loras", name, lambda: _turbo())


def _turbo() -> nn.Module:
    return Lora(Flux2(DEV), below="double_blocks.0.")


KLEIN_VAE = _vae("flux2-vae.safetensors", LATENT)
_VAES = (
    KLEIN_VAE,
    _vae("full_encoder_small_decoder.safetensors", replace(LATENT, decoder_channels=(32, 32, 32, 64))),
)
_QWEN_4B = MiniatureFile("text_encoders", QWEN_3_4B, lambda: decoder(QWEN3))
_QWEN_8B = MiniatureFile(
    "text_encoders", "qwen_3_8b_fp8mixed.safetensors", lambda: decoder(QWEN3, layers=28), format="fp8_scaled"
)

MINIATURES = (
    Miniature(
        "flux2-dev",
        (
            _network("flux2_dev_fp8mixed.safetensors", DEV, "fp8_scaled"),
            _mistral("mistral_3_small_flux2_bf16.safetensors", "bf16"),
            _mistral("mistral_3_small_flux2_fp8.safetensors", "fp8_scaled"),
            _lora("Flux2TurboComfyv2.safetensors"),
            _lora("Flux_2-Turbo-LoRA_comfyui.safetensors"),
            *_VAES,
        ),
    ),
    Miniature(
        "flux2-klein-4b",
        (
            _network("flux-2-klein-4b-fp8.safetensors", KLEIN_4B, "fp8_scaled"),
            _network("flux-2-klein-base-4b-fp8.safetensors", KLEIN_4B, "fp8_scaled"),
            _network("flux-2-klein-base-4b.safetensors", KLEIN_4B),
            _QWEN_4B,
            *_VAES,
        ),
    ),
    Miniature(
        "flux2-klein-9b",
        (
            _network("flux-2-klein-9b-fp8.safetensors", KLEIN_9B, "fp8_scaled"),
            _network("flux-2-klein-base-9b-fp8.safetensors", KLEIN_9B, "fp8_scaled"),
            _QWEN_8B,
            *_VAES,
        ),
    ),
)
