"""The values on ``VAE`` links for MiniMax H3's autoencoders of films and of sound. Their latents are on the network's
scale."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from safelight.models.autoencoder.film import Film, Tiling
from safelight.models.autoencoder.h3_audio_module import SAMPLE_RATE, H3AudioAutoencoder, H3AudioShape
from safelight.models.autoencoder.h3_video_module import H3VideoShape, frame_count
from safelight.models.autoencoder.video_autoencoder import WrongLatent
from safelight.models.residency import compute_device, residency
from safelight.models.weights import Weights

STEREO = 2


@dataclass(frozen=True)
class H3FilmAutoencoder:
    """Has the methods of :class:`safelight.models.autoencoder.video_autoencoder.VideoAutoencoder`. It always works in
    tiles; the sizes that a node chooses do not count."""

    weights: Weights
    shape: H3VideoShape

    @property
    def downscale(self) -> int:
        return self.shape.downscale

    @property
    def latent_channels(self) -> int:
        """The name that node packs read."""
        return self.shape.latent

    def spacial_compression_encode(self) -> int:
        """The downscale, under the name that node packs call."""
        return self.downscale

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """``[B, C, frames, h, w]``, or ``[B, C, h, w]`` for pictures, to ``[B * frames, H, W, 3]`` in 0..1."""
        return self.film(latent).whole()

    def film(self, latent: torch.Tensor, tiling: Tiling | None = None) -> Film:
        """The frames of :meth:`decode`, which are decoded when they are read."""
        latent = latent if latent.dim() == 5 else latent[:, :, None]
        if latent.dim() != 5 or latent.shape[1] != self.latent_channels:
            raise WrongLatent(
                f"the latent has the shape {list(latent.shape)}, but this VAE decodes videos with "
                f"{self.latent_channels} channels; load the VAE of the model that made the latent"
            )
        return Film(self, latent)

    def film_shape(self, latent: torch.Tensor) -> torch.Size:
        batch, _, frames, height, width = latent.shape
        count = frame_count(frames)
        return torch.Size((batch * count, height * self.downscale, width * self.downscale, 3))

    def pieces(self, latent: torch.Tensor, tiling: Tiling | None) -> Iterator[torch.Tensor]:
        """A clip at a time."""
        with _resident(self.weights, self.shape.build) as module:
            for item in torch.split(latent, 1):
                for piece in module.pieces(_placed(item)):
                    yield piece[0].clamp(0, 1).movedim(0, -1).cpu()

    def decode_tiled(self, latent: torch.Tensor, *, tile: int, overlap: int) -> torch.Tensor:
        return self.decode(latent)

    def encode(self, image: torch.Tensor) -> torch.Tensor:
        """``[frames, H, W, 3]`` to ``[1, C, latent frames, h, w]``. Sides are center-cropped to multiples of the
        downscale."""
        cut = image[..., :3].float()
        for dimension in (1, 2):
            kept = cut.shape[dimension] // self.downscale * self.downscale
            cut = cut.narrow(dimension, (cut.shape[dimension] - kept) // 2, kept)
        with _resident(self.weights, self.shape.build) as module:
            made: torch.Tensor = module.encode(_placed(cut.movedim(-1, 0)[None])).cpu()
        return made

    def encode_tiled(self, image: torch.Tensor, *, tile: int, overlap: int) -> torch.Tensor:
        return self.encode(image)


@dataclass(frozen=True)
class H3SoundAutoencoder:
    """Implements :class:`safelight.models.autoencoder.audio_autoencoder.AudioAutoencoder`: latents ``[B, C, positions,
    1, 2]``, in stereo. Computes in float32."""

    weights: Weights
    shape: H3AudioShape

    @property
    def sample_rate(self) -> int:
        return SAMPLE_RATE

    def decode_audio(self, latent: torch.Tensor) -> torch.Tensor:
        channels = latent[:, :, :, 0].permute(0, 3, 1, 2)
        with _resident(self.weights, self._build) as module:
            made = [module.decode(_placed(item)).cpu() for item in channels]
        return torch.stack([item[:, 0] for item in made])

    def encode_audio(self, waveform: torch.Tensor) -> torch.Tensor:
        if waveform.shape[1] not in (1, STEREO):
            raise ValueError(f"the VAE takes audio with 1 or 2 channels, not {waveform.shape[1]}")
        if not waveform.shape[-1]:
            waveform = functional.pad(waveform, (0, 1))
        both = waveform.expand(-1, STEREO, -1)
        with _resident(self.weights, self._build) as module:
            made = [module.encode(_placed(item[:, None])).cpu() for item in both]
        return torch.stack(made).permute(0, 2, 3, 1)[:, :, :, None]

    def _build(self) -> H3AudioAutoencoder:
        return H3AudioAutoencoder(self.shape)


@contextmanager
def _resident(weights: Weights, build: Any) -> Iterator[Any]:
    made: nn.Module
    with (
        residency().use(weights, (), build, device=compute_device(), dtype=torch.float32) as made,
        torch.inference_mode(),
    ):
        yield made


def _placed(x: torch.Tensor) -> torch.Tensor:
    return x.to(compute_device(), torch.float32)
