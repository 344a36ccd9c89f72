"""The convolutional autoencoder of Stable Audio (Evans et al. 2024), after the Descript codec (Kumar et al. 2023),
under the names of its files."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

DILATIONS = (1, 3, 9)
_EPSILON = 1e-9


@dataclass(frozen=True)
class OobleckShape:
    """``widths``: channels of each level, the finest first, one more than ``strides``."""

    channels: int
    latent: int
    widths: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def samples(self) -> int:
        """Samples per position of the latent."""
        return math.prod(self.strides)


def oobleck_shape(shapes: Mapping[str, torch.Size]) -> OobleckShape:
    """Raises :class:`KeyError` if a weight is missing."""
    widths = [shapes["encoder.layers.0.weight_v"][0]]
    strides = []
    while (name := f"encoder.layers.{len(widths)}.layers.4.weight_v") in shapes:
        out, _, kernel = shapes[name]
        widths.append(out)
        strides.append(kernel // 2)
    return OobleckShape(
        channels=shapes["encoder.layers.0.weight_v"][1],
        latent=shapes["decoder.layers.0.weight_v"][1],
        widths=tuple(widths),
        strides=tuple(strides),
    )


class Oobleck(nn.Module):
    def __init__(self, shape: OobleckShape) -> None:
        super().__init__()
        self.encoder = _Encoder(shape)
        self.decoder = _Decoder(shape)

    def encode(self, waveform: torch.Tensor) -> torch.Tensor:
        """``[B, channels, samples]`` to the mean of the latent, ``[B, C, positions]``."""
        mean: torch.Tensor = self.encoder(waveform).chunk(2, dim=1)[0]
        return mean

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        waveform: torch.Tensor = self.decoder(latent)
        return waveform


class Snake(nn.Module):
    """``x + sin(alpha x)^2 / beta`` with both in logarithms (Ziyin et al. 2020)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.empty(channels))
        self.beta = nn.Parameter(torch.empty(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        alpha, beta = self.alpha.exp()[:, None], self.beta.exp()[:, None]
        return x + (x * alpha).sin().square() / (beta + _EPSILON)


class _Conv(nn.Module):
    """A convolution whose weight is a direction and a length per row (Salimans and Kingma 2016). ``transposed``: it
    multiplies the length by its stride instead of dividing it."""

    def __init__(
        self,
        channels: int,
        out: int,
        kernel: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        padding: int,
        transposed: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__()
        rows = (channels, out) if transposed else (out, channels)
        self.weight_v = nn.Parameter(torch.empty(*rows, kernel))
        self.weight_g = nn.Parameter(torch.empty(rows[0], 1, 1))
        self.bias = nn.Parameter(torch.empty(out)) if bias else None
        self.options = {"stride": stride, "dilation": dilation, "padding": padding}
        self.transposed = transposed

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = torch._weight_norm(self.weight_v, self.weight_g, 0)
        convolve = functional.conv_transpose1d if self.transposed else functional.conv1d
        return convolve(x, weight, self.bias, **self.options)


class _Residual(nn.Module):
    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            Snake(channels),
            _Conv(channels, channels, 7, dilation=dilation, padding=3 * dilation),
            Snake(channels),
            _Conv(channels, channels, 1, padding=0),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = x + self.layers(x)
        return result


class _Level(nn.Module):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.layers(x)
        return result


def _down(channels: int, out: int, stride: int) -> _Level:
    last = _Conv(channels, out, 2 * stride, stride=stride, padding=math.ceil(stride / 2))
    return _Level(*(_Residual(channels, dilation) for dilation in DILATIONS), Snake(channels), last)


def _up(channels: int, out: int, stride: int) -> _Level:
    first = _Conv(channels, out, 2 * stride, stride=stride, padding=math.ceil(stride / 2), transposed=True)
    return _Level(Snake(channels), first, *(_Residual(out, dilation) for dilation in DILATIONS))


class _Encoder(_Level):
    def __init__(self, shape: OobleckShape) -> None:
        widths = shape.widths
        levels = zip(widths, widths[1:], shape.strides, strict=False)
        super().__init__(
            _Conv(shape.channels, widths[0], 7, padding=3),
            *(_down(channels, out, stride) for channels, out, stride in levels),
            Snake(widths[-1]),
            _Conv(widths[-1], 2 * shape.latent, 3, padding=1),
        )


class _Decoder(_Level):
    def __init__(self, shape: OobleckShape) -> None:
        widths = shape.widths[::-1]
        levels = zip(widths, widths[1:], shape.strides[::-1], strict=False)
        super().__init__(
            _Conv(shape.latent, widths[0], 7, padding=3),
            *(_up(channels, out, stride) for channels, out, stride in levels),
            Snake(widths[-1]),
            _Conv(widths[-1], shape.channels, 7, padding=3, bias=False),
        )
