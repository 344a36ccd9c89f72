"""The value on ``VAE`` links for the audio of LTX-2: a spectrogram's autoencoder, and a vocoder."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from safelight.media.audio import resample
from safelight.models.autoencoder.bandwidth_module import BandwidthShape, BandwidthVocoder, bandwidth_shape
from safelight.models.autoencoder.mel import log_mel, padded, quieted
from safelight.models.autoencoder.spectrogram_module import (
    SpectrogramAutoencoder,
    SpectrogramShape,
    spectrogram_shape,
)
from safelight.models.autoencoder.vocoder_module import Vocoder, VocoderShape, vocoder_shape
from safelight.models.residency import compute_device, residency
from safelight.models.weights import UnknownWeights, WeightFile, Weights, json_metadata

INPUT_RATE = 16000
HOP = 160
"""Samples per column of a spectrogram."""
WINDOW = 1024
_PREFIXES = ("audio_vae.", "vocoder.")


@dataclass(frozen=True)
class LtxAudioAutoencoder:
    """Implements :class:`safelight.models.autoencoder.audio_autoencoder.AudioAutoencoder`. Latents are ``[B, C,
    positions, bands]``; computes in float32."""

    weights: Weights
    shape: SpectrogramShape
    vocoder: VocoderShape | BandwidthShape
    bands: int
    """Of a latent."""

    @property
    def input_rate(self) -> int:
        """The sample rate of what :meth:`encode` takes, which is not that of decoded audio."""
        return INPUT_RATE

    @property
    def sample_rate(self) -> int:
        return INPUT_RATE * self.vocoder.samples // HOP

    def positions(self, seconds: float) -> int:
        """The length of the latent of audio of a duration."""
        return math.ceil(seconds * (INPUT_RATE / HOP / self.shape.downscale))

    def decode_audio(self, latent: torch.Tensor) -> torch.Tensor:
        if latent.dim() != 4 or latent.shape[1] != self.shape.latent or latent.shape[3] != self.bands:
            raise ValueError(
                f"the audio VAE decodes latents of {self.shape.latent} channels and {self.bands} bands, but this one "
                f"is {list(latent.shape)}"
            )
        with self._module() as module:
            return torch.cat(
                [module(item.to(compute_device(), torch.float32)).cpu() for item in torch.split(latent, 1)]
            )

    def encode_audio(self, waveform: torch.Tensor) -> torch.Tensor:
        taken = [torch.from_numpy(resample(one.numpy(), self.sample_rate, INPUT_RATE)) for one in waveform]
        return self.encode(torch.stack(taken))

    def encode(self, waveform: torch.Tensor) -> torch.Tensor:
        """``[B, channels, samples]`` at :attr:`input_rate` to the mean of the latent."""
        sides = self.shape.sides
        if waveform.shape[1] not in (1, sides):
            raise ValueError(f"the audio VAE takes audio with 1 or {sides} channels, not {waveform.shape[1]}")
        both = padded(waveform.expand(-1, sides, -1).float(), WINDOW)
        with self._module() as module:
            mel = log_mel(
                quieted(both.to(compute_device())),
                rate=INPUT_RATE,
                bands=self.bands * self.shape.downscale,
                hop=HOP,
                window=WINDOW,
            )
            return module.audio_vae.encode(mel).cpu()

    @contextmanager
    def _module(self) -> Iterator["_AudioModule"]:
        with (
            residency().use(self.weights, (), self._build, device=compute_device(), dtype=torch.float32) as module,
            torch.inference_mode(),
        ):
            yield module

    def _build(self) -> "_AudioModule":
        return _AudioModule(self.shape, self.vocoder, self.bands)


class _AudioModule(nn.Module):
    def __init__(self, shape: SpectrogramShape, vocoder: VocoderShape | BandwidthShape, bands: int) -> None:
        super().__init__()
        self.audio_vae = SpectrogramAutoencoder(shape, bands=bands)
        self.vocoder = BandwidthVocoder(vocoder) if isinstance(vocoder, BandwidthShape) else Vocoder(vocoder)

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        waveform: torch.Tensor = self.vocoder(self.audio_vae.decode(latent))
        return waveform


def ltx_audio_autoencoder(file: WeightFile) -> LtxAudioAutoencoder:
    """The one in a checkpoint of LTX-2. Raises :class:`UnknownWeights` if there is none."""
    weights = file.weights().only([name for name in file.weights().sources if name.startswith(_PREFIXES)])
    autoencoder = _below(weights.shapes, "audio_vae.")
    try:
        shape = spectrogram_shape(autoencoder)
        settings: Mapping[str, Any] = json_metadata(file, "config") or {}
        given = settings.get("vocoder")
        rates = given.get("upsample_rates", ()) if isinstance(given, dict) else ()
        own = _below(weights.shapes, "vocoder.")
        vocoder = bandwidth_shape(own) if "bwe_generator.conv_pre.weight" in own else vocoder_shape(own, rates)
        bands = autoencoder["per_channel_statistics.std-of-means"][0] // shape.latent
    except KeyError as error:
        raise UnknownWeights(f"{file.path.name!r} contains no audio VAE of LTX-2: {error} is missing") from None
    return LtxAudioAutoencoder(weights, shape, vocoder, bands)


def _below(shapes: Mapping[str, torch.Size], prefix: str) -> dict[str, torch.Size]:
    return {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}
