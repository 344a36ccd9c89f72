"""The vocoders of LTX-2: from spectrograms to waveforms, under the names of their files.

That of 2.0 is HiFi-GAN's (Kong et al. 2020). Those of 2.3 have periodic activations at twice the rate (BigVGAN; Lee et
al. 2023); see ``bandwidth_module``."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from safelight.models.autoencoder.oobleck_module import Snake
from safelight.models.language.architecture import layer_count

SLOPE = 0.1
DILATIONS = (1, 3, 5)
TAPS = 12
"""Of a low-pass filter."""
RATES = {16: 6, 15: 5, 12: 6, 11: 5, 8: 2, 4: 2}
"""The factor of a level by the length of its kernel, in the published files without settings."""


@dataclass(frozen=True)
class VocoderShape:
    """``levels``: kernel and factor of each. ``kernels``: of the residual blocks of a level, side by side."""

    features: int
    width: int
    sides: int
    levels: tuple[tuple[int, int], ...]
    kernels: tuple[int, ...]
    is_periodic: bool = False

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
        is_periodic="act_post.act.alpha" in shapes,
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
        self.resblocks = nn.ModuleList(
            _Residual(width, kernel, is_periodic=shape.is_periodic) for width in widths[1:] for kernel in shape.kernels
        )
        if shape.is_periodic:
            self.act_post = PeriodicActivation(widths[-1])
        self.conv_post = nn.Conv1d(widths[-1], shape.sides, 7, padding=3, bias=not shape.is_periodic)

    def forward(self, spectrogram: torch.Tensor) -> torch.Tensor:
        """``[B, sides, columns, bands]`` to waveforms ``[B, sides, samples]``."""
        hidden = self.conv_pre(spectrogram.transpose(2, 3).flatten(1, 2))
        count = len(self.shape.kernels)
        for level, up in enumerate(self.ups):
            hidden = up(hidden if self.shape.is_periodic else functional.leaky_relu(hidden, SLOPE))
            blocks = self.resblocks[level * count : (level + 1) * count]
            hidden = torch.stack([block(hidden) for block in blocks]).sum(dim=0) / count
        made: torch.Tensor
        if self.shape.is_periodic:
            made = self.conv_post(self.act_post(hidden))
            return made
        made = self.conv_post(functional.leaky_relu(hidden)).tanh()
        return made


class _Residual(nn.Module):
    def __init__(self, channels: int, kernel: int, *, is_periodic: bool) -> None:
        super().__init__()

        def convolution(dilation: int) -> nn.Conv1d:
            return nn.Conv1d(channels, channels, kernel, dilation=dilation, padding=(kernel - 1) * dilation // 2)

        self.convs1 = nn.ModuleList(convolution(dilation) for dilation in DILATIONS)
        self.convs2 = nn.ModuleList(convolution(1) for _ in DILATIONS)
        if is_periodic:
            self.acts1 = nn.ModuleList(PeriodicActivation(channels) for _ in DILATIONS)
            self.acts2 = nn.ModuleList(PeriodicActivation(channels) for _ in DILATIONS)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        for index, (first, second) in enumerate(zip(self.convs1, self.convs2, strict=True)):
            inner = first(self._activated(hidden, "acts1", index))
            hidden = hidden + second(self._activated(inner, "acts2", index))
        return hidden

    def _activated(self, hidden: torch.Tensor, name: str, index: int) -> torch.Tensor:
        if not hasattr(self, name):
            return functional.leaky_relu(hidden, SLOPE)
        activated: torch.Tensor = getattr(self, name)[index](hidden)
        return activated


class _Filter(nn.Module):
    """A low-pass filter, which is in the file."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filter", torch.empty(1, 1, TAPS))

    def expanded(self, like: torch.Tensor) -> torch.Tensor:
        return self.get_buffer("filter").to(like).expand(like.shape[1], -1, -1)


class _Lowpass(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lowpass = _Filter()


class PeriodicActivation(nn.Module):
    """A snake function at twice the rate, so that its overtones do not fold back."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.act = Snake(channels)
        self.upsample = _Filter()
        self.downsample = _Lowpass()

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        channels, edge = hidden.shape[1], TAPS // 2 - 1
        padded = functional.pad(hidden, (edge, edge), mode="replicate")
        filtered = functional.conv_transpose1d(padded, self.upsample.expanded(hidden), stride=2, groups=channels)
        cut = 2 * edge + (TAPS - 2) // 2
        doubled = self.act(2 * filtered[..., cut : -(cut + TAPS % 2)])
        padded = functional.pad(doubled, (edge, TAPS // 2), mode="replicate")
        return functional.conv1d(padded, self.downsample.lowpass.expanded(doubled), stride=2, groups=channels)
