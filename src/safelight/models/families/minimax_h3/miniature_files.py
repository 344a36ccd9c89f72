"""Miniature weights of MiniMax H3: pruned networks in 8 bits, as people have them."""

from safelight.models.autoencoder.h3_audio_module import H3AudioAutoencoder, H3AudioShape
from safelight.models.autoencoder.h3_video_module import H3VideoAutoencoder, H3VideoShape, Level
from safelight.models.families.minimax_h3.network import H3Shape, MiniMaxH3
from safelight.models.miniatures.file import Miniature, MiniatureFile
from safelight.models.miniatures.shapes import WIDTH, Lora, qwen3_vl

NETWORK = H3Shape(
    channels=24,
    sound_channels=32,
    width=256,
    text_width=WIDTH,
    heads=2,
    head_width=128,
    feed_forward=256,
    layers=2,
    refining=1,
    time_width=16,
    time_hidden=0,
    table=101,
)
FILM = H3VideoShape(
    latent=24,
    levels=tuple(
        Level(32, 32, blocks=1, space=2 if number < 4 else 1, time=2 if number in (1, 2) else 1) for number in range(6)
    ),
    width=64,
    layers=1,
    feed_forward=128,
    registers=4,
    has_statistics=True,
)
SOUND = H3AudioShape(
    latent=32,
    inner=64,
    widths=(4, 8, 16, 32, 64, 64),
    strides=(2, 4, 4, 5, 5),
    start=128,
    steps=((9, 5), (9, 5), (4, 2), (4, 2), (4, 2), (4, 2), (4, 2)),
    kernels=(3,),
    has_statistics=True,
)


def _network(name: str) -> MiniatureFile:
    return MiniatureFile("diffusion_models", name, lambda: MiniMaxH3(NETWORK), format="int8_convrot")


def _lora(name: str) -> MiniatureFile:
    return MiniatureFile("loras", name, lambda: Lora(MiniMaxH3(NETWORK), below="blocks.0."))


def _film_vae(name: str, format: str) -> MiniatureFile:
    return MiniatureFile("vae", name, lambda: H3VideoAutoencoder(FILM), format=format)


_BESIDE = (
    MiniatureFile(
        "text_encoders", "qwen3vl_32b_minimax_h3_nvfp4_awq.safetensors", lambda: qwen3_vl(layers=4), format="nvfp4_awq"
    ),
    _film_vae("minimax_h3_video_vae_int8_convrot.safetensors", "int8_convrot"),
    MiniatureFile("vae", "minimax_h3_audio_vae_fp32.safetensors", lambda: H3AudioAutoencoder(SOUND), format="fp32"),
)

MINIATURES = (
    Miniature(
        "minimax-h3",
        (
            _network("minimax_h3_fl2va_pruned_int8_convrot.safetensors"),
            _lora("minimax_h3_fl2v_turbo_8step_v1.0_comfyui_bf16.safetensors"),
            _film_vae("minimax_h3_video_vae_fp16.safetensors", "bf16"),
            *_BESIDE,
        ),
    ),
    Miniature(
        "minimax-h3-reference",
        (
            _network("minimax_h3_ref2va_pruned_int8_convrot.safetensors"),
            _lora("minimax_h3_ref2v_turbo_4step_v0.1_comfyui_bf16.safetensors"),
            *_BESIDE,
        ),
    ),
    Miniature(
        "fasth3",
        (
            _network("fastvideo_fasth3_8step_v2_pruned_int8_convrot.safetensors"),
            _network("fasth3_omniref_8step_pruned_int8_convrot.safetensors"),
            *_BESIDE,
        ),
    ),
)
