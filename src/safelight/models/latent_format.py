"""What a latent is made of: channels, the scale on which networks see it, and how it looks as a rough picture."""

from dataclasses import dataclass, field

import torch


@dataclass(frozen=True)
class LatentFormat:
    """``LATENT`` values on links are as the autoencoder makes them; networks see ``(latent - shift) * scale``."""

    channels: int = 4
    scale: float = 1.0
    shift: float = 0.0
    downscale: int = 8
    """Pixels a side for each latent pixel."""
    rgb_factors: tuple[tuple[float, float, float], ...] = field(default=(), repr=False)
    """For each channel, what it adds to red, green and blue in -1..1, of a latent as the network sees it."""
    rgb_bias: tuple[float, float, float] = (0.0, 0.0, 0.0)
    taesd: str | None = None
    """The name of the tiny autoencoder for previews, without ``_decoder`` or extension."""

    def to_network(self, latent: torch.Tensor) -> torch.Tensor:
        return (latent - self.shift) * self.scale

    def from_network(self, latent: torch.Tensor) -> torch.Tensor:
        return latent / self.scale + self.shift
