"""The format of latents: channels, the scale that networks work on, and a rough preview."""

from dataclasses import dataclass, field

import torch


@dataclass(frozen=True)
class LatentFormat:
    """``LATENT`` values on links are as the autoencoder returns them; networks work on ``(latent - shift) * scale``."""

    channels: int = 4
    scale: float = 1.0
    shift: float = 0.0
    downscale: int = 8
    """Image pixels per side of a latent pixel."""
    rgb_factors: tuple[tuple[float, float, float], ...] = field(default=(), repr=False)
    """For each channel, what it adds to red, green and blue in -1..1, for a latent as the network sees it."""
    rgb_bias: tuple[float, float, float] = (0.0, 0.0, 0.0)
    taesd: str | None = None
    """The name of the tiny autoencoder for previews, without ``_decoder`` and extension."""

    def to_network(self, latent: torch.Tensor) -> torch.Tensor:
        return (latent - self.shift) * self.scale

    def from_network(self, latent: torch.Tensor) -> torch.Tensor:
        return latent / self.scale + self.shift
