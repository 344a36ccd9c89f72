"""ESRGAN (Wang et al. 2018), Real-ESRGAN (Wang et al. 2021) and its compact variant. Names are those of BasicSR's
files.

Images are ``[B, channels, H, W]`` in 0..1.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from safelight.models.operations import Conv2d

Shapes = Mapping[str, torch.Size]


@dataclass(frozen=True, slots=True)
class DenseShape:
    """``unshuffle``: pixels per side that become channels first, for scales below four."""

    channels: int
    out: int
    features: int
    growth: int
    blocks: int
    ups: int
    unshuffle: int

    @property
    def scale(self) -> int:
        return int(2**self.ups) // self.unshuffle


@dataclass(frozen=True, slots=True)
class CompactShape:
    channels: int
    features: int
    convolutions: int
    scale: int


def upscaler_shape(shapes: Shapes) -> DenseShape | CompactShape:
    """Read the shape off the weights. Raises :class:`KeyError` with the name that is missing."""
    if "conv_first.weight" in shapes:
        return _dense_shape(shapes)
    first = shapes["body.0.weight"]
    numbers = {int(found[1]) for name in shapes if (found := re.match(r"body\.(\d+)\.", name))}
    last = shapes[f"body.{max(numbers)}.weight"]
    channels = first[1]
    return CompactShape(channels, first[0], (max(numbers) // 2) - 1, math.isqrt(last[0] // channels))


def _dense_shape(shapes: Shapes) -> DenseShape:
    features, seen = shapes["conv_first.weight"][:2]
    out = shapes["conv_last.weight"][0]
    numbers = {int(found[1]) for name in shapes if (found := re.match(r"body\.(\d+)\.", name))}
    unshuffle = math.isqrt(seen // out) if seen % out == 0 else 1
    return DenseShape(
        channels=seen,
        out=out,
        features=features,
        growth=shapes["body.0.rdb1.conv1.weight"][0],
        blocks=len(numbers),
        ups=sum(f"conv_up{index}.weight" in shapes for index in (1, 2, 3)),
        unshuffle=unshuffle,
    )


_OLD = re.compile(r"model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\.(weight|bias)")


def renamed(name: str, *, blocks: int, ups: int) -> str | None:
    """Rename a weight of the first ESRGAN files (``model.1.sub...``) to its later name."""
    if found := _OLD.fullmatch(name):
        return f"body.{found[1]}.rdb{found[2]}.conv{found[3]}.{found[4]}"
    module, _, kind = name.rpartition(".")
    names = {"model.0": "conv_first", f"model.1.sub.{blocks}": "conv_body"}
    names |= {f"model.{3 * (index + 1)}": f"conv_up{index + 1}" for index in range(ups)}
    names |= {f"model.{3 * ups + 2}": "conv_hr", f"model.{3 * ups + 4}": "conv_last"}
    return f"{names[module]}.{kind}" if module in names else None


class DenseNetwork(nn.Module):
    """Residual-in-residual dense blocks, then doubling the size ``ups`` times."""

    def __init__(self, shape: DenseShape) -> None:
        super().__init__()
        features = shape.features
        self.shape = shape
        self.conv_first = _convolution(shape.channels, features)
        self.body = nn.Sequential(*(_ResidualDense(features, shape.growth) for _ in range(shape.blocks)))
        self.conv_body = _convolution(features, features)
        for index in range(shape.ups):
            self.add_module(f"conv_up{index + 1}", _convolution(features, features))
        self.conv_hr = _convolution(features, features)
        self.conv_last = _convolution(features, shape.out)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        times = self.shape.unshuffle
        height, width = image.shape[-2:]
        if times > 1:
            image = functional.pad(image, (0, -width % times, 0, -height % times), mode="replicate")
            image = functional.pixel_unshuffle(image, times)
        hidden = self.conv_first(image)
        hidden = hidden + self.conv_body(self.body(hidden))
        for index in range(self.shape.ups):
            larger = functional.interpolate(hidden, scale_factor=2, mode="nearest")
            hidden = _leaky(self.get_submodule(f"conv_up{index + 1}")(larger))
        result: torch.Tensor = self.conv_last(_leaky(self.conv_hr(hidden)))
        return result[..., : height * self.shape.scale, : width * self.shape.scale]


class CompactNetwork(nn.Module):
    """Plain convolutions at the small size; their output is added to the enlarged image."""

    def __init__(self, shape: CompactShape) -> None:
        super().__init__()
        features = shape.features
        body: list[nn.Module] = [_convolution(shape.channels, features), nn.PReLU(features)]
        for _ in range(shape.convolutions):
            body += [_convolution(features, features), nn.PReLU(features)]
        body.append(_convolution(features, shape.channels * shape.scale**2))
        self.body = nn.ModuleList(body)
        self.scale = shape.scale

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        hidden = image
        for part in self.body:
            hidden = part(hidden)
        larger = functional.interpolate(image, scale_factor=self.scale, mode="nearest")
        return functional.pixel_shuffle(hidden, self.scale) + larger


class _ResidualDense(nn.Module):
    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.rdb1 = _Dense(features, growth)
        self.rdb2 = _Dense(features, growth)
        self.rdb3 = _Dense(features, growth)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = hidden + 0.2 * self.rdb3(self.rdb2(self.rdb1(hidden)))
        return result


class _Dense(nn.Module):
    """Five convolutions, each of which sees the outputs of all before it."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.conv1 = _convolution(features, growth)
        self.conv2 = _convolution(features + growth, growth)
        self.conv3 = _convolution(features + 2 * growth, growth)
        self.conv4 = _convolution(features + 3 * growth, growth)
        self.conv5 = _convolution(features + 4 * growth, features)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        known = hidden
        for convolution in (self.conv1, self.conv2, self.conv3, self.conv4):
            known = torch.cat((known, _leaky(convolution(known))), dim=1)
        result: torch.Tensor = hidden + 0.2 * self.conv5(known)
        return result


def _convolution(channels: int, out: int) -> Conv2d:
    return Conv2d(channels, out, 3, padding=1)


def _leaky(hidden: torch.Tensor) -> torch.Tensor:
    return functional.leaky_relu(hidden, 0.2)
