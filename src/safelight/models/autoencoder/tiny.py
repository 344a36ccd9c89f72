"""Tiny autoencoders that were distilled from large ones (TAESD, TAESDXL, TAESD3, TAEF1, by Ollin Boer Bohan).

Names are those of their files below ``encoder.`` and ``decoder.``: places in a sequence. In and out as the large ones:
pictures ``[B, 3, H, W]`` in -1..1, latents unscaled.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from safelight.models.operations import Conv2d

CHANNELS = 64


@dataclass(frozen=True, slots=True)
class TinyShape:
    """``scale``, ``shift``: of latents as the tiny ones know them, ``(latent - shift) * scale``."""

    latent: int
    scale: float
    shift: float = 0.0
    has_encoder: bool = True

    @property
    def downscale(self) -> int:
        return 8


def tiny_shape(shapes: Mapping[str, torch.Size], *, scale: float, shift: float) -> TinyShape:
    """Raises :class:`KeyError` with the name that is missing."""
    return TinyShape(shapes["decoder.1.weight"][1], scale, shift, "encoder.0.weight" in shapes)


class TinyAutoencoder(nn.Module):
    def __init__(self, shape: TinyShape) -> None:
        super().__init__()
        self.shape = shape
        if shape.has_encoder:
            self.encoder = nn.Sequential(
                _wide(3),
                _Block(),
                *(part for _ in range(3) for part in (_wide(CHANNELS, stride=2), _Block(), _Block(), _Block())),
                Conv2d(CHANNELS, shape.latent, 3, padding=1),
            )
        self.decoder = nn.Sequential(
            _Softened(),
            _wide(shape.latent),
            nn.ReLU(),
            *(part for _ in range(3) for part in (_Block(), _Block(), _Block(), nn.Upsample(scale_factor=2), _flat())),
            _Block(),
            Conv2d(CHANNELS, 3, 3, padding=1),
        )

    def moments(self, picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The latent, and no variance."""
        latent = self.encoder((picture + 1) / 2) / self.shape.scale + self.shape.shift
        return latent, torch.full_like(latent, -torch.inf)

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        picture: torch.Tensor = self.decoder((latent - self.shape.shift) * self.shape.scale) * 2 - 1
        return picture


class _Block(nn.Module):
    """Three convolutions beside the way past them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(_wide(CHANNELS), nn.ReLU(), _wide(CHANNELS), nn.ReLU(), _wide(CHANNELS))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.conv(hidden) + hidden)


class _Softened(nn.Module):
    """Latents beyond three deviations come nearer."""

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        return torch.tanh(latent / 3) * 3


def _wide(channels: int, *, stride: int = 1) -> Conv2d:
    return Conv2d(channels, CHANNELS, 3, stride=stride, padding=1, bias=stride == 1)


def _flat() -> Conv2d:
    return Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False)
