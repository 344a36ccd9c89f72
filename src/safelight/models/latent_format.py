"""The format of latents: channels, the scale that networks work on, and a rough preview."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch


@dataclass(frozen=True)
class LatentFormat:
    """``LATENT`` values on links are as the autoencoder returns them; networks work on ``(latent - shift) * scale``, or
    with ``means`` and ``deviations`` of each channel on ``(latent - mean) / deviation * scale``."""

    channels: int = 4
    scale: float = 1.0
    shift: float = 0.0
    downscale: int = 8
    """Image pixels per side of a latent pixel."""
    frames: int | None = None
    """Frames of a video per frame of its latent, whose shape is then ``[B, C, frames, h, w]``; ``None`` for images,
    ``[B, C, h, w]``."""
    is_sequence: bool = False
    """Audio of which a latent is a sequence, ``[B, C, positions]``."""
    others: tuple["LatentFormat", ...] = ()
    """The formats of the latents that are denoised together with this one, such as a video's audio."""
    empty_others: Callable[[torch.Tensor], tuple[torch.Tensor, ...]] | None = field(
        default=None, repr=False, compare=False
    )
    """Makes empty latents of the other formats for one of this, if it is used without them."""
    means: tuple[float, ...] = field(default=(), repr=False)
    deviations: tuple[float, ...] = field(default=(), repr=False)
    rgb_factors: tuple[tuple[float, float, float], ...] = field(default=(), repr=False)
    """For each channel, what it adds to red, green and blue in -1..1, for a latent as the network sees it."""
    rgb_bias: tuple[float, float, float] = (0.0, 0.0, 0.0)
    preview_patch: int = 1
    """Pixels per side that the channels are squares of, each with the colors of its own channel."""
    has_noise_in_decoder: bool = False
    """Whether autoencoders of this format add noise of the run's seed before they decode."""
    taesd: str | None = None
    """The name of the tiny autoencoder for previews, without ``_decoder`` and extension."""

    @property
    def dimensions(self) -> int:
        """The number of spatial dimensions, of which a video's time is the first."""
        if self.is_sequence:
            return 1
        return 2 if self.frames is None else 3

    def to_network(self, latent: torch.Tensor) -> torch.Tensor:
        if self.means:
            return (latent - self._per_channel(self.means, latent)) * (
                self.scale / self._per_channel(self.deviations, latent)
            )
        return (latent - self.shift) * self.scale

    def from_network(self, latent: torch.Tensor) -> torch.Tensor:
        if self.means:
            deviations = self._per_channel(self.deviations, latent)
            return latent * (deviations / self.scale) + self._per_channel(self.means, latent)
        return latent / self.scale + self.shift

    def _per_channel(self, values: tuple[float, ...], latent: torch.Tensor) -> torch.Tensor:
        return torch.tensor(values).to(latent).reshape(1, -1, *[1] * (latent.dim() - 2))
