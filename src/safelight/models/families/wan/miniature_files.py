"""Miniature weights of Wan 2.1 and 2.2."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import nn

from safelight.models.autoencoder.wan22_module import Wan22Shape
from safelight.models.autoencoder.wan_module import Part, WanAutoencoder
from safelight.models.families.qwen_image.miniature_files import autoencoder_shape
from safelight.models.families.wan.network import Wan, WanShape
from safelight.models.miniatures.file import Miniature, MiniatureFile
from safelight.models.miniatures.shapes import WIDTH, lora, t5
from safelight.models.vision.vision_module import VisionShape, VisionTransformer

NETWORK = WanShape(channels=16, out_channels=16, width=256, feed_forward=512, layers=2, text_width=WIDTH)
PICTURE = replace(NETWORK, channels=36, picture=1280)
PICTURE_22 = replace(NETWORK, channels=36)
FIRST_AND_LAST = replace(PICTURE, pictures=514)
VACE = replace(NETWORK, layers=4, vace_layers=2, vace_channels=96)
SMALL_22 = replace(NETWORK, channels=48, out_channels=48)

_VISION = VisionShape(1280, 320, layers=2, patch=14, patches=16, projection=1024, is_siglip=False)


def _network(name: str, shape: WanShape, format: str = "fp8_scaled") -> MiniatureFile:
    return MiniatureFile("diffusion_models", name, lambda: Wan(shape), format=format)


def _vocabulary() -> torch.Tensor:
    """The vocabulary, which files for ComfyUI have in them."""
    import lzma
    from importlib.resources import files

    packed = files("safelight.models.data").joinpath("umt5_spiece.model.xz").read_bytes()
    return torch.frombuffer(bytearray(lzma.decompress(packed)), dtype=torch.uint8)


def _text(name: str, format: str) -> MiniatureFile:
    more: Mapping[str, Callable[[], torch.Tensor]] = {"spiece_model": _vocabulary}
    return MiniatureFile("text_encoders", name, lambda: t5(has_own_biases=True), format=format, more=more)


def _autoencoder_22() -> Wan22Shape:
    """The autoencoder of Wan 2.2 with few channels, and one block of each size."""
    down = [(16, 16, True), (16, 32, True), (32, 32, False)]
    up = [(32, 32, False), (32, 32, True), (32, 16, True)]

    def stages(of: list[tuple[int, int, bool]], last: int) -> tuple[tuple[Part, ...], ...]:
        made = [(Part(channels, out), Part(out, out, resamples=True, in_time=in_time)) for channels, out, in_time in of]
        return (*made, (Part(last, last),))

    return Wan22Shape(48, 3, 16, 32, stages(down, 32), stages(up, 16), 16)


def _vision() -> nn.Module:
    return VisionTransformer(_VISION, heads=16)


def _distilled(name: str) -> MiniatureFile:
    """A LoRA as those for few steps are: with changes of biases and norms."""
    modules = {
        f"diffusion_model.blocks.{number}.{part}": (256, 256)
        for number in range(NETWORK.layers)
        for part in ("self_attn.q", "self_attn.k", "self_attn.v", "self_attn.o", "cross_attn.q", "cross_attn.o")
    }
    made = lora(name, modules)

    def change(size: int) -> Callable[[], torch.Tensor]:
        return lambda: torch.randn(size, generator=torch.Generator().manual_seed(size)) * 0.02

    more = {
        f"diffusion_model.blocks.0.{part}": change(256)
        for part in ("self_attn.q.diff_b", "self_attn.norm_k.diff", "norm3.diff_b")
    }
    return replace(made, more={**made.more, **more})


TEXT = _text("umt5_xxl_fp8_e4m3fn_scaled.safetensors", "fp8_scaled_old")
TEXT_WHOLE = _text("umt5_xxl_fp16.safetensors", "bf16")
VISION = MiniatureFile("clip_vision", "clip_vision_h.safetensors", _vision, format="bf16")
VAE = MiniatureFile("vae", "wan_2.1_vae.safetensors", lambda: WanAutoencoder(autoencoder_shape()), format="fp32")
VAE_22 = MiniatureFile("vae", "wan2.2_vae.safetensors", lambda: _autoencoder_22().build(), format="fp32")
_LIGHT = "wan2.2_{}_lightx2v_4steps_lora_v1{}_{}_noise.safetensors"


def _pair(kind: str, shape: WanShape, light: str) -> tuple[MiniatureFile, ...]:
    return tuple(
        file
        for noise in ("high", "low")
        for file in (
            _network(f"wan2.2_{kind}_{noise}_noise_14B_fp8_scaled.safetensors", shape),
            _distilled(_LIGHT.format(kind, light, noise)),
        )
    )


MINIATURES = (
    Miniature(
        "wan2.1",
        (
            _network("wan2.1_t2v_1.3B_fp16.safetensors", NETWORK, "bf16"),
            _network("wan2.1_t2v_14B_fp8_scaled.safetensors", NETWORK),
            _network("wan2.1_i2v_480p_14B_fp16.safetensors", PICTURE, "bf16"),
            _network("wan2.1_flf2v_720p_14B_fp16.safetensors", FIRST_AND_LAST, "bf16"),
            TEXT,
            TEXT_WHOLE,
            VISION,
            VAE,
        ),
    ),
    Miniature("wan2.1-vace", (_network("wan2.1_vace_14B_fp16.safetensors", VACE, "bf16"), TEXT, TEXT_WHOLE, VAE)),
    Miniature("wan2.2-t2v", (*_pair("t2v", NETWORK, ".1"), TEXT, VAE)),
    Miniature("wan2.2-5b", (_network("wan2.2_ti2v_5B_fp16.safetensors", SMALL_22, "bf16"), TEXT, VAE_22)),
    Miniature(
        "wan2.1-alpha",
        (
            _network("wan2.1_t2v_14B_fp8_scaled.safetensors", NETWORK),
            TEXT,
            replace(VAE, name="wan_alpha_2.1_vae_rgb_channel.safetensors"),
            replace(VAE, name="wan_alpha_2.1_vae_alpha_channel.safetensors"),
            _distilled("wan_alpha_2.1_rgba_lora.safetensors"),
        ),
    ),
    Miniature("wan2.2-i2v", (*_pair("i2v", PICTURE_22, ""), TEXT, VAE)),
)
