"""Tiny autoencoders, distilled from large ones (TAESD, TAESDXL, TAESD3, TAEF1, by Ollin Boer Bohan).

Names are those of their files below ``encoder.`` and ``decoder.``: positions in a sequence. Inputs and outputs are
those of the large ones: images ``[B, 3, H, W]`` in -1..1, latents unscaled.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from safelight.models.operations import Conv2d

CHANNELS = 64


@dataclass(frozen=True, slots=True)
class TinyShape:
    """``scale``, ``shift``: from latents to the scale that the tiny network works on, ``(latent - shift) * scale``."""

    latent: int
    scale: float
    shift: float = 0.0
    has_encoder: bool = True

    @property
    def downscale(self) -> int:
        return 8


def tiny_shape(shapes: Mapping[str, torch.Size], *, scale: float, shift: float) -> TinyShape:
    """Read the shape off the weights. Raises :class:`KeyError` with the name that is missing."""
    return TinyShape(shapes["decoder.1.weight"][1], scale, shift, "encoder.0.weight" in shapes)


class TinyAutoencoder(nn.Module):
    def __init__(self, shape: TinyShape) -> None:
        super().__init__()
        self.shape = shape
        if shape.has_encoder:
            self.encoder = nn.Sequential(
                _conv(3),
                _Block(),
                *(part for _ in range(3) for part in (_conv(CHANNELS, stride=2), _Block(), _Block(), _Block())),
                Conv2d(CHANNELS, shape.latent, 3, padding=1),
            )
        self.decoder = nn.Sequential(
            _SoftClamp(),
            _conv(shape.latent),
            nn.ReLU(),
            *(
                part
                for _ in range(3)
                for part in (_Block(), _Block(), _Block(), nn.Upsample(scale_factor=2), _conv_without_bias())
            ),
            _Block(),
            Conv2d(CHANNELS, 3, 3, padding=1),
        )

    def moments(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The latent, with zero variance (a log variance of minus infinity)."""
        latent = self.encoder((image + 1) / 2) / self.shape.scale + self.shape.shift
        return latent, torch.full_like(latent, -torch.inf)

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        image: torch.Tensor = self.decoder((latent - self.shape.shift) * self.shape.scale) * 2 - 1
        return image


class _Block(nn.Module):
    """Three convolutions with a residual connection."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(_conv(CHANNELS), nn.ReLU(), _conv(CHANNELS), nn.ReLU(), _conv(CHANNELS))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.conv(hidden) + hidden)


class _SoftClamp(nn.Module):
    """Compress latents beyond three standard deviations."""

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        return torch.tanh(latent / 3) * 3


def _conv(channels: int, *, stride: int = 1) -> Conv2d:
    return Conv2d(channels, CHANNELS, 3, stride=stride, padding=1, bias=stride == 1)


def _conv_without_bias() -> Conv2d:
    return Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False)
