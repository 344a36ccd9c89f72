"""Miniature weights of LTX-Video and LTX-2."""

from dataclasses import replace

from torch import nn

from safelight.models.autoencoder.bandwidth_module import BandwidthShape, BandwidthVocoder
from safelight.models.autoencoder.ltx_blocks import Stride
from safelight.models.autoencoder.ltx_module import LtxAutoencoderShape, LtxPart, LtxVideoAutoencoder
from safelight.models.autoencoder.spectrogram_module import SpectrogramAutoencoder, SpectrogramShape
from safelight.models.autoencoder.vocoder_module import Vocoder, VocoderShape
from safelight.models.families.ltx.sound_network import LtxSound, SoundShape, StreamWidths
from safelight.models.families.ltx.text import Connector, ConnectorShape
from safelight.models.families.ltx.video_network import LtxVideo, VideoShape
from safelight.models.language.architecture import GEMMA3
from safelight.models.miniatures.file import Miniature, MiniatureFile
from safelight.models.miniatures.shapes import T5, WIDTH, Joined, bytes_tokenizer, decoder, lora
from safelight.models.upscale.latent_upsampler import LatentUpsamplerModule, LatentUpsamplerShape

VIDEO = VideoShape(channels=128, width=256, context=WIDTH, feed_forward=512, layers=2)
_ALL: Stride = (2, 2, 2)


def _residuals(channels: int) -> LtxPart:
    return LtxPart("residuals", channels, channels, layers=1)


AUTOENCODER = LtxAutoencoderShape(
    latent=128,
    encoded=129,
    patch=4,
    encoder=(
        _residuals(16),
        LtxPart("strided", 16, 16, stride=_ALL),
        LtxPart("widen", 16, 32),
        LtxPart("strided", 32, 32, stride=_ALL),
        LtxPart("strided", 32, 32, stride=_ALL),
        _residuals(32),
    ),
    decoder=(
        _residuals(32),
        LtxPart("unfolded", 32, 32, stride=_ALL, adds_input=False),
        LtxPart("widen", 32, 16),
        LtxPart("unfolded", 16, 16, stride=_ALL, adds_input=False),
        _residuals(16),
        LtxPart("unfolded", 16, 16, stride=_ALL, adds_input=False),
        _residuals(16),
    ),
    is_timed=False,
)


def _checkpoint() -> nn.Module:
    return Joined(model__diffusion_model=LtxVideo(VIDEO), vae=LtxVideoAutoencoder(AUTOENCODER))


LARGER_AUTOENCODER = replace(
    AUTOENCODER,
    encoder=(
        _residuals(16),
        LtxPart("folded", 16, 32, stride=(1, 2, 2)),
        _residuals(32),
        LtxPart("folded", 32, 64, stride=(2, 1, 1)),
        _residuals(64),
        LtxPart("folded", 64, 64, stride=_ALL),
        _residuals(64),
        LtxPart("folded", 64, 64, stride=_ALL),
        _residuals(64),
    ),
    decoder=(
        _residuals(64),
        LtxPart("unfolded", 64, 32, stride=_ALL),
        _residuals(32),
        LtxPart("unfolded", 32, 16, stride=_ALL),
        _residuals(16),
        LtxPart("unfolded", 16, 8, stride=_ALL),
        _residuals(8),
    ),
)
"""Of LTX-2."""
SOUND = SoundShape(
    video=StreamWidths(channels=128, width=256, feed_forward=512),
    audio=StreamWidths(channels=128, width=128, feed_forward=256),
    crossing=128,
    context=WIDTH,
    layers=2,
)
NEWER = replace(
    SOUND,
    context=0,
    is_gated=True,
    modulates_text=True,
    times_text=True,
)
"""Of LTX-2.3."""
_AUDIO = SpectrogramShape(sides=2, latent=8, channels=(8, 16, 16), blocks=1)
_VOCODER = VocoderShape(128, 64, 2, levels=((16, 6), (15, 5), (8, 2), (4, 2), (4, 2)), kernels=(3, 7))
_BANDWIDTH = BandwidthShape(
    VocoderShape(128, 64, 2, ((11, 5), (4, 2), (4, 2), (4, 2), (4, 2), (4, 2)), kernels=(3, 7), is_periodic=True),
    VocoderShape(128, 64, 2, ((12, 6), (11, 5), (4, 2), (4, 2), (4, 2)), kernels=(3,), is_periodic=True),
    window=512,
    bands=64,
)
_CONNECTOR = ConnectorShape(WIDTH, 512, layers=1, heads=2, learned=128, is_gated=False)
_STATES = 4
"""Of the miniature of Gemma."""
_MARKS = ("<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>")


def _gemma() -> nn.Module:
    return decoder(GEMMA3, vocabulary=512)


def _projection(*widths: int) -> nn.Module:
    made = nn.Module()
    names = ("",) if len(widths) == 1 else ("video_", "audio_")
    for name, width in zip(names, widths, strict=True):
        made.add_module(f"{name}aggregate_embed", nn.Linear(WIDTH * _STATES, width, bias=len(widths) > 1))
    return made


def _sound_checkpoint() -> nn.Module:
    network = LtxSound(SOUND)
    network.add_module("video_embeddings_connector", Connector(_CONNECTOR))
    network.add_module("audio_embeddings_connector", Connector(_CONNECTOR))
    return Joined(
        model__diffusion_model=network,
        text_embedding_projection=_projection(WIDTH),
        vae=LtxVideoAutoencoder(LARGER_AUTOENCODER),
        audio_vae=SpectrogramAutoencoder(_AUDIO, bands=16),
        vocoder=Vocoder(_VOCODER),
    )


def _newer_checkpoint() -> nn.Module:
    network = LtxSound(NEWER)
    for kind, width, heads in (("video", 256, 2), ("audio", 128, 2)):
        shape = ConnectorShape(width, 2 * width, layers=1, heads=heads, learned=128, is_gated=True)
        network.add_module(f"{kind}_embeddings_connector", Connector(shape))
    return Joined(
        model__diffusion_model=network,
        text_embedding_projection=_projection(256, 128),
        vae=LtxVideoAutoencoder(LARGER_AUTOENCODER),
        audio_vae=SpectrogramAutoencoder(_AUDIO, bands=16),
        vocoder=BandwidthVocoder(_BANDWIDTH),
    )


def _text_encoder(name: str, format: str) -> MiniatureFile:
    return MiniatureFile("text_encoders", name, _gemma, format=format, tokenizer=lambda: bytes_tokenizer(*_MARKS))


def _upsampler(name: str) -> MiniatureFile:
    shape = LatentUpsamplerShape(channels=128, width=32, blocks=1)
    return MiniatureFile("latent_upscale_models", name, lambda: LatentUpsamplerModule(shape))


def _loras(*names: str) -> tuple[MiniatureFile, ...]:
    changed = {
        f"diffusion_model.transformer_blocks.0.{part}": size
        for part, size in (
            ("attn1.to_q", (256, 256)),
            ("audio_attn1.to_k", (128, 128)),
            ("audio_to_video_attn.to_v", (128, 128)),
        )
    }
    return tuple(lora(f"{name}.safetensors", changed) for name in names)


_GEMMA = (
    _text_encoder("gemma_3_12B_it_fp4_mixed.safetensors", "nvfp4"),
    _text_encoder("gemma_3_12B_it.safetensors", "bf16"),
)

MINIATURES = (
    Miniature(
        "ltx-video",
        (
            *(
                MiniatureFile("checkpoints", f"ltx-video-2b-{version}.safetensors", _checkpoint)
                for version in ("v0.9", "v0.9.1", "v0.9.5")
            ),
            *T5,
        ),
    ),
    Miniature(
        "ltx-2",
        (
            MiniatureFile("checkpoints", "ltx-2-19b-dev-fp8.safetensors", _sound_checkpoint, format="fp8_scaled"),
            MiniatureFile("checkpoints", "ltx-2-19b-dev.safetensors", _sound_checkpoint),
            MiniatureFile("checkpoints", "ltx-2-19b-distilled.safetensors", _sound_checkpoint),
            *_GEMMA,
            _upsampler("ltx-2-spatial-upscaler-x2-1.0.safetensors"),
            *_loras(
                "ltx-2-19b-distilled-lora-384",
                "ltx-2-19b-lora-camera-control-dolly-left",
                "ltx-2-19b-ic-lora-canny-control",
                "ltx-2-19b-ic-lora-depth-control",
                "ltx2-squish",
            ),
        ),
    ),
    Miniature(
        "ltx-2.3",
        (
            MiniatureFile("checkpoints", "ltx-2.3-22b-dev-fp8.safetensors", _newer_checkpoint, format="fp8_scaled"),
            MiniatureFile(
                "checkpoints", "ltx-2.3-22b-distilled-fp8.safetensors", _newer_checkpoint, format="fp8_scaled"
            ),
            *_GEMMA,
            _upsampler("ltx-2.3-spatial-upscaler-x2-1.1.safetensors"),
            *_loras(
                "ltx_2.3_22b_distilled_1.1_lora_dynamic_fro09_avg_rank_111_bf16",
                "ltx-2.3-22b-distilled-lora-384",
                "ltx-2.3-22b-ic-lora-ingredients-0.9",
                "ltx-2.3-22b-ic-lora-union-control-ref0.5",
                "ltx-2.3-id-lora-talkvid-3k",
                "ltx2.3-transition",
                "gemma-3-12b-it-abliterated_lora_rank64_bf16",
            ),
        ),
    ),
)
