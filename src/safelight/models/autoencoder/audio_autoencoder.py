"""The value on ``VAE`` links for autoencoders of audio."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from safelight.models.autoencoder.oobleck_module import Oobleck, OobleckShape, oobleck_shape
from safelight.models.residency import compute_device, residency
from safelight.models.weights import Weights

SAMPLE_RATES = {2048: 44100, 1920: 48000}
"""Of the models whose autoencoder has this many samples per position: Stable Audio, and ACE-Step 1.5."""


@runtime_checkable
class AudioAutoencoder(Protocol):
    """Law: the length of what :meth:`decode_audio` returns depends on the length of the latent alone."""

    @property
    def sample_rate(self) -> int:
        """Of the waveforms that it makes and takes, in Hz."""
        ...

    def decode_audio(self, latent: torch.Tensor) -> torch.Tensor:
        """``[B, C, ...]`` to waveforms ``[B, channels, samples]``, about -1..1."""
        ...

    def encode_audio(self, waveform: torch.Tensor) -> torch.Tensor:
        """``[B, channels, samples]`` at :attr:`sample_rate`; mono is taken as equal channels."""
        ...


@dataclass(frozen=True)
class OobleckAutoencoder:
    """The autoencoder of Stable Audio and ACE-Step 1.5; computes in float32."""

    weights: Weights
    shape: OobleckShape

    @property
    def sample_rate(self) -> int:
        return SAMPLE_RATES.get(self.shape.samples, SAMPLE_RATES[2048])

    def decode_audio(self, latent: torch.Tensor) -> torch.Tensor:
        with self._module() as module:
            device = compute_device()
            return torch.cat([module.decode(item.to(device, torch.float32)).cpu() for item in torch.split(latent, 1)])

    def encode_audio(self, waveform: torch.Tensor) -> torch.Tensor:
        """To the mean of the latent. The waveform is center-cropped to whole positions."""
        channels, length = self.shape.channels, waveform.shape[-1]
        if waveform.shape[1] not in (1, channels):
            raise ValueError(f"the VAE takes audio with 1 or {channels} channels, not {waveform.shape[1]}")
        kept = length // self.shape.samples * self.shape.samples
        if not kept:
            raise ValueError(
                f"the audio has {length} samples at {self.sample_rate} Hz; the VAE needs at least {self.shape.samples}"
            )
        cut = waveform.narrow(-1, (length - kept) // 2, kept).expand(-1, channels, -1)
        with self._module() as module:
            device = compute_device()
            return torch.cat([module.encode(item.to(device, torch.float32)).cpu() for item in torch.split(cut, 1)])

    @contextmanager
    def _module(self) -> Iterator[Oobleck]:
        with (
            residency().use(
                self.weights, (), lambda: Oobleck(self.shape), device=compute_device(), dtype=torch.float32
            ) as module,
            torch.inference_mode(),
        ):
            yield module


def oobleck_weights(weights: Weights) -> Weights:
    """The encoder and decoder under one spelling of their normalized weights: a file has ``weight_g`` and
    ``weight_v``, or torch's newer ``parametrizations.weight.original0`` and ``1``."""
    spelled = {
        name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): source
        for name, source in weights.sources.items()
        if name.startswith(("encoder.", "decoder."))
    }
    return Weights(spelled)


def oobleck_autoencoder(weights: Weights) -> OobleckAutoencoder:
    """Raises :class:`KeyError` if a weight is missing."""
    own = oobleck_weights(weights)
    return OobleckAutoencoder(own, oobleck_shape(own.shapes))


def is_oobleck(shapes: Mapping[str, torch.Size]) -> bool:
    return "decoder.layers.1.layers.0.beta" in shapes
