"""Miniature weights of Lumina Image 2 and Z-Image."""

from dataclasses import replace

from torch import nn

from safelight.models.families.lumina.model_patch import IN_FILES, ZImageControl
from safelight.models.families.lumina.network import NextDiT, NextDiTShape
from safelight.models.language.architecture import GEMMA2, QWEN3
from safelight.models.miniatures.file import Miniature, MiniatureFile
from safelight.models.miniatures.shapes import (
    AE,
    QWEN_3_4B,
    WIDTH,
    Joined,
    decoder,
    image_autoencoder,
    lora,
    umt5_pieces,
)
from safelight.models.weights import Weights

Z_IMAGE = NextDiTShape(
    channels=16,
    width=256,
    text_width=WIDTH,
    layers=2,
    refiners=1,
    heads=2,
    key_heads=2,
    feed_forward=512,
    time_hidden=256,
    time_width=256,
    is_z_image=True,
    is_filled=True,
)
LUMINA = replace(Z_IMAGE, width=192, key_heads=1, time_hidden=192, time_width=192, is_z_image=False, is_filled=False)


def _z_image(name: str, format: str = "bf16") -> MiniatureFile:
    return MiniatureFile("diffusion_models", name, lambda: NextDiT(Z_IMAGE), format=format)


_QWEN = MiniatureFile("text_encoders", QWEN_3_4B, lambda: decoder(QWEN3))
_QWEN_FP8 = replace(_QWEN, name="qwen_3_4b_fp8_mixed.safetensors", format="fp8_scaled")

_STYLE = lora("pixel_art_style_z_image_turbo.safetensors", {"layers.0.attention.to_q": (256, 256)})

_CONTROL = replace(Z_IMAGE, text_width=0, layers=6, refiners=2, time_hidden=0)


class _FunControl(nn.Module):
    """The control under the names of its files, which keep query, key and value apart."""

    def __init__(self) -> None:
        super().__init__()
        made = ZImageControl(Weights({}), _CONTROL, refines=False, is_untrained=False).build()
        for name, value in made.state_dict().items():
            for ours, theirs in IN_FILES.items():
                name = name.replace(ours, theirs)
            owner: nn.Module = self
            *path, last = name.split(".")
            for step in path:
                if step not in owner._modules:
                    owner.add_module(step, nn.Module())
                owner = owner.get_submodule(step)
            owner.register_parameter(last, nn.Parameter(value))


GEMMA_VOCABULARY = 256384
"""As large as that of UMT5, whose pieces stand for Gemma's."""


def _neta() -> nn.Module:
    return Joined(
        model__diffusion_model=NextDiT(LUMINA),
        text_encoders__gemma2_2b__transformer=decoder(GEMMA2, vocabulary=GEMMA_VOCABULARY),
        vae=image_autoencoder(),
    )


MINIATURES = (
    Miniature(
        "neta-lumina",
        (
            MiniatureFile(
                "checkpoints",
                "NetaYumev35_pretrained_all_in_one.safetensors",
                _neta,
                more={"spiece_model": umt5_pieces},
            ),
        ),
    ),
    Miniature(
        "z-image-fun-control",
        (MiniatureFile("model_patches", "Z-Image-Turbo-Fun-Controlnet-Union.safetensors", _FunControl),),
    ),
    Miniature("z-image-turbo", (_z_image("z_image_turbo_bf16.safetensors"), _QWEN, AE, _STYLE)),
    Miniature("z-image", (_z_image("z_image_bf16.safetensors"), _QWEN, AE)),
    Miniature(
        "z-image-int8",
        (
            _z_image("z_image_turbo_int8_convrot.safetensors", "int8_convrot"),
            _z_image("z_image_int8_convrot.safetensors", "int8_convrot"),
            _QWEN,
            _QWEN_FP8,
            AE,
        ),
    ),
    Miniature("z-image-gguf", (_z_image("z_image_turbo-Q4_K_M.gguf", "Q4_K"), _QWEN, AE)),
)
