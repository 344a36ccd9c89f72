"""The vocoder of LTX-2: from spectrograms to waveforms (HiFi-GAN; Kong et al. 2020), under the names of its files."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from safelight.models.language.architecture import layer_count

SLOPE = 0.1
DILATIONS = (1, 3, 5)
RATES = {16: 6, 15: 5, 11: 5, 8: 2, 4: 2}
"""The factor of a level by the length of its kernel, in the published files without settings."""


@dataclass(frozen=True)
class VocoderShape:
    """``levels``: kernel and factor of each. ``kernels``: of the residual blocks of a level, side by side."""

    features: int
    width: int
    sides: int
    levels: tuple[tuple[int, int], ...]
    kernels: tuple[int, ...]

    @property
    def samples(self) -> int:
        """Per column of the spectrogram."""
        return math.prod(factor for _, factor in self.levels)


def vocoder_shape(shapes: Mapping[str, torch.Size], rates: Sequence[int] = ()) -> VocoderShape:
    """``rates``: the factors of the levels, if the file says them. Raises :class:`KeyError` if a weight is missing."""
    levels = layer_count(shapes, "ups")
    blocks = layer_count(shapes, "resblocks") // max(levels, 1)
    kernels = [shapes[f"ups.{level}.weight"][2] for level in range(levels)]
    width, features, _ = shapes["conv_pre.weight"]
    return VocoderShape(
        features=features,
        width=width,
        sides=shapes["conv_post.weight"][0],
        levels=tuple(zip(kernels, rates or [RATES[kernel] for kernel in kernels], strict=True)),
        kernels=tuple(shapes[f"resblocks.{index}.convs1.0.weight"][2] for index in range(blocks)),
    )


class Vocoder(nn.Module):
    def __init__(self, shape: VocoderShape) -> None:
        super().__init__()
        self.shape = shape
        widths = [shape.width >> level for level in range(len(shape.levels) + 1)]
        self.conv_pre = nn.Conv1d(shape.features, shape.width, 7, padding=3)
        self.ups = nn.ModuleList(
            nn.ConvTranspose1d(widths[i], widths[i + 1], kernel, factor, padding=(kernel - factor) // 2)
            for i, (kernel, factor) in enumerate(shape.levels)
        )
        self.resblocks = nn.ModuleList(_Residual(width, kernel) for width in widths[1:] for kernel in shape.kernels)
        self.conv_post = nn.Conv1d(widths[-1], shape.sides, 7, padding=3)

    def forward(self, spectrogram: torch.Tensor) -> torch.Tensor:
        """``[B, sides, columns, bands]`` to waveforms ``[B, sides, samples]``."""
        hidden = self.conv_pre(spectrogram.transpose(2, 3).flatten(1, 2))
        count = len(self.shape.kernels)
        for level, up in enumerate(self.ups):
            hidden = up(functional.leaky_relu(hidden, SLOPE))
            blocks = self.resblocks[level * count : (level + 1) * count]
            hidden = torch.stack([block(hidden) for block in blocks]).sum(dim=0) / count
        waveform: torch.Tensor = self.conv_post(functional.leaky_relu(hidden)).tanh()
        return waveform


class _Residual(nn.Module):
    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()

        def convolution(dilation: int) -> nn.Conv1d:
            return nn.Conv1d(channels, channels, kernel, dilation=dilation, padding=(kernel - 1) * dilation // 2)

        self.convs1 = nn.ModuleList(convolution(dilation) for dilation in DILATIONS)
        self.convs2 = nn.ModuleList(convolution(1) for _ in DILATIONS)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        for first, second in zip(self.convs1, self.convs2, strict=True):
            inner = first(functional.leaky_relu(hidden, SLOPE))
            hidden = hidden + second(functional.leaky_relu(inner, SLOPE))
        return hidden
