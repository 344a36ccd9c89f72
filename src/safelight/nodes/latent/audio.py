"""Nodes that convert between audio and latents."""

from typing import Any

import torch

from safelight.core.errors import Invalid
from safelight.models.autoencoder.audio_autoencoder import AudioAutoencoder
from safelight.models.nested import NestedTensor
from safelight.nodes.audio.waveform import Audio, at_rate
from safelight.nodes.latent.autoencoder import require_vae
from safelight.nodes.latent.samples import Latent
from safelight.sdk import Node, NodeOutput, Schema, io

LOUDEST = 5.0
"""Standard deviations of a waveform that must fit into -1..1; a louder one is made quieter."""


class NotAudio(Invalid):
    """An image VAE or an image latent where audio is needed."""

    code = "not_audio"


class VAEDecodeAudio(Node):
    """Decode latents into audio."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="VAEDecodeAudio",
            display_name="VAE Decode Audio",
            category="latent/audio",
            inputs=[io.Latent.Input("samples"), io.Vae.Input("vae")],
            outputs=[io.Audio.Output()],
            search_aliases=["latent to audio"],
        )

    @classmethod
    def execute(cls, samples: Latent, vae: Any) -> NodeOutput:
        decoder = require_audio_autoencoder(vae)
        latent = samples["samples"]
        if isinstance(latent, NestedTensor):
            latent = latent.tensors[-1]
        waveform = decoder.decode_audio(latent)
        rate = samples.get("sample_rate", decoder.sample_rate)
        return NodeOutput({"waveform": waveform / _loudness(waveform), "sample_rate": rate})


class VAEEncodeAudio(Node):
    """Encode audio into latents."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="VAEEncodeAudio",
            display_name="VAE Encode Audio",
            category="latent/audio",
            inputs=[io.Audio.Input("audio"), io.Vae.Input("vae")],
            outputs=[io.Latent.Output()],
            search_aliases=["audio to latent"],
        )

    @classmethod
    def execute(cls, audio: Audio | None, vae: Any) -> NodeOutput:
        return NodeOutput({"samples": encoded_audio(audio, require_audio_autoencoder(vae)), "type": "audio"})


def encoded_audio(audio: Audio | None, encoder: AudioAutoencoder) -> torch.Tensor:
    """Raises :class:`NotAudio` if there is none."""
    if audio is None:
        raise NotAudio("no audio to encode: the video has no audio track")
    return encoder.encode_audio(at_rate(audio, encoder.sample_rate))


def require_audio_autoencoder(vae: Any) -> AudioAutoencoder:
    """Raises :class:`NotAudio` for a VAE of images."""
    found = require_vae(vae)
    if not isinstance(found, AudioAutoencoder):
        raise NotAudio("the VAE is for images; expected one for audio")
    return found


def _loudness(waveform: torch.Tensor) -> torch.Tensor:
    """What each clip is divided by, ``[B, 1, 1]``; 1 for all but loud ones."""
    return (waveform.std(dim=(1, 2), keepdim=True) * LOUDEST).clamp_min(1.0)
