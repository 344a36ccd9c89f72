"""Nodes for the audio of LTX-2."""

from typing import Any

from safelight.core.errors import Invalid
from safelight.models.autoencoder.ltx_audio_autoencoder import LtxAudioAutoencoder, ltx_audio_autoencoder
from safelight.models.nested import NestedTensor
from safelight.models.weights import Identity, identity_of, weight_file
from safelight.nodes.audio.waveform import Audio, at_rate
from safelight.nodes.latent.samples import Latent
from safelight.nodes.latent.zeros import zeros
from safelight.sdk import Node, NodeOutput, Schema, io
from safelight.sdk.context import current


class NotAnAudioVae(Invalid):
    """The VAE is not the one for the audio of LTX-2."""

    code = "not_an_audio_vae"


class LTXVAudioVAELoader(Node):
    """Load the VAE for audio, with its vocoder, from a checkpoint of LTX-2."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LTXVAudioVAELoader",
            display_name="LTXV Audio VAE Loader",
            category="audio",
            inputs=[io.Combo.Input("ckpt_name", model_folder="checkpoints", tooltip="The checkpoint of the model.")],
            outputs=[io.Vae.Output(display_name="Audio VAE")],
        )

    @classmethod
    def fingerprint_inputs(cls, ckpt_name: str) -> Identity:
        return identity_of(current().model_path("checkpoints", ckpt_name))

    @classmethod
    def execute(cls, ckpt_name: str) -> NodeOutput:
        return NodeOutput(ltx_audio_autoencoder(weight_file(current().model_path("checkpoints", ckpt_name))))


class LTXVAudioVAEEncode(Node):
    """Encode audio into a latent of LTX-2."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LTXVAudioVAEEncode",
            display_name="LTXV Audio VAE Encode",
            category="audio",
            inputs=[
                io.Audio.Input("audio", tooltip="The audio to encode."),
                io.Vae.Input("audio_vae", display_name="Audio VAE", tooltip="The VAE for audio."),
            ],
            outputs=[io.Latent.Output(display_name="Audio Latent")],
        )

    @classmethod
    def execute(cls, audio: Audio | None, audio_vae: Any) -> NodeOutput:
        vae = require_audio_vae(audio_vae)
        if audio is None:
            raise NotAnAudioVae("no audio to encode: the video has no audio track")
        samples = vae.encode(at_rate(audio, vae.input_rate))
        return NodeOutput({"samples": samples, "sample_rate": vae.input_rate, "type": "audio"})


class LTXVAudioVAEDecode(Node):
    """Decode a latent of LTX-2 into audio; of a latent of video and audio, its audio."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LTXVAudioVAEDecode",
            display_name="LTXV Audio VAE Decode",
            category="audio",
            inputs=[
                io.Latent.Input("samples", tooltip="The latent to decode."),
                io.Vae.Input("audio_vae", display_name="Audio VAE", tooltip="The VAE for audio."),
            ],
            outputs=[io.Audio.Output(display_name="Audio")],
        )

    @classmethod
    def execute(cls, samples: Latent, audio_vae: Any) -> NodeOutput:
        vae, latent = require_audio_vae(audio_vae), samples["samples"]
        if isinstance(latent, NestedTensor):
            latent = latent.tensors[-1]
        return NodeOutput({"waveform": vae.decode_audio(latent), "sample_rate": vae.sample_rate})


class LTXVEmptyLatentAudio(Node):
    """Create an empty audio latent for LTX-2, as long as a video."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LTXVEmptyLatentAudio",
            display_name="LTXV Empty Latent Audio",
            category="latent/audio",
            inputs=[
                io.Int.Input(
                    "frames_number", default=97, min=1, max=1000, step=1, display="number", tooltip="Of the video."
                ),
                io.Int.Input(
                    "frame_rate", default=25, min=1, max=1000, step=1, display="number", tooltip="Per second."
                ),
                io.Int.Input("batch_size", default=1, min=1, max=4096, display="number"),
                io.Vae.Input("audio_vae", display_name="Audio VAE", tooltip="The VAE for audio."),
            ],
            outputs=[io.Latent.Output(display_name="Latent")],
        )

    @classmethod
    def execute(cls, frames_number: int, frame_rate: float, batch_size: int, audio_vae: Any) -> NodeOutput:
        vae = require_audio_vae(audio_vae)
        samples = zeros(batch_size, vae.shape.latent, vae.positions(frames_number / frame_rate), vae.bands)
        return NodeOutput({"samples": samples, "sample_rate": vae.input_rate, "type": "audio"})


def require_audio_vae(vae: Any) -> LtxAudioAutoencoder:
    """Raises :class:`NotAnAudioVae`."""
    if not isinstance(vae, LtxAudioAutoencoder):
        raise NotAnAudioVae("the VAE is not one for the audio of LTX-2; load it with LTXVAudioVAELoader")
    return vae
