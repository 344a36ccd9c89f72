"""T2I-Adapter (Mou et al. 2023): a small network that looks at a picture once, and adds to a UNet's way down.

Names are those of the original files: ``body`` counts all residual blocks of all levels.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from safelight.models.network_hooks import Control
from safelight.models.operations import Conv2d
from safelight.models.unet.shape import ConvolutionShape
from safelight.models.weights import Weights

_BLOCKS = 2
"""In each level."""

_PLACES = {8: (2, 5, 8, 11), 16: (3, 5, 8)}
"""By the pixels that become one: behind which of a UNet's input blocks each level is added. A level more is added
behind the middle block."""

_HALVES = {8: (1, 2, 3), 16: (2,)}
"""Levels that begin with half the size."""


@dataclass(frozen=True, slots=True)
class AdapterBlockShape:
    """``first``, ``second``: sides of the kernels. ``convolved``: a convolution instead of nothing on the way past."""

    channels: int
    out: int
    first: int
    second: int
    convolved: int


@dataclass(frozen=True, slots=True)
class AdapterShape:
    """``pixels``: of a side, that become channels of one."""

    colors: int
    pixels: int
    start: ConvolutionShape
    blocks: tuple[AdapterBlockShape, ...]


def in_adapter_layout(weights: Weights) -> Weights:
    """Diffusers' names as the original ones; others stay."""
    renamed = {}
    for name, source in weights.sources.items():
        name = name.removeprefix("adapter.")
        if found := re.fullmatch(r"body\.(\d+)\.resnets\.(\d+)\.(.+)", name):
            name = f"body.{int(found[1]) * _BLOCKS + int(found[2])}.{found[3]}"
        elif found := re.fullmatch(r"body\.(\d+)\.in_conv\.(.+)", name):
            is_diffusers = any(".resnets." in other for other in weights.sources)
            name = f"body.{int(found[1]) * (_BLOCKS if is_diffusers else 1)}.in_conv.{found[2]}"
        renamed[name] = source
    return replace(weights, sources=renamed)


def adapter_shape(shapes: Mapping[str, torch.Size]) -> AdapterShape:
    """Raises :class:`KeyError` with the name that is missing."""
    out, seen = shapes["conv_in.weight"][:2]
    pixels = 16 if seen % 256 == 0 else 8
    numbers = {int(found[1]) for name in shapes if (found := re.match(r"body\.(\d+)\.", name))}
    if len(numbers) != 4 * _BLOCKS:
        raise KeyError(f"body.{4 * _BLOCKS - 1}.block1.weight")
    blocks, before = [], out
    for number in range(len(numbers)):
        first, second = shapes[f"body.{number}.block1.weight"], shapes[f"body.{number}.block2.weight"]
        past = shapes.get(f"body.{number}.skep.weight")
        blocks.append(AdapterBlockShape(before, first[0], first[2], second[2], past[2] if past else 0))
        before = first[0]
    return AdapterShape(seen // pixels**2, pixels, ConvolutionShape(seen, out), tuple(blocks))


class T2IAdapter(nn.Module):
    def __init__(self, shape: AdapterShape) -> None:
        super().__init__()
        self.shape = shape
        self.conv_in = Conv2d(shape.start.channels, shape.start.out, 3, padding=1)
        self.body = nn.ModuleList(map(_Block, shape.blocks))

    def forward(self, picture: torch.Tensor) -> Control:
        """``picture [B, 3, 8 h, 8 w]`` in 0..1."""
        pixels = self.shape.pixels
        if self.shape.colors == 1:
            picture = picture.mean(dim=1, keepdim=True)
        height, width = picture.shape[2:]
        missing = (0, -width % pixels, 0, -height % pixels)
        picture = functional.pad(picture, missing, mode="replicate") if any(missing) else picture
        hidden = self.conv_in(functional.pixel_unshuffle(picture, pixels))
        levels = []
        for number, block in enumerate(self.body):
            if number % _BLOCKS == 0 and number // _BLOCKS in _HALVES[pixels]:
                hidden = functional.avg_pool2d(hidden, 2, ceil_mode=True)
            hidden = block(hidden)
            if number % _BLOCKS == _BLOCKS - 1:
                levels.append(hidden)
        places = _PLACES[pixels]
        middle = cast(torch.Tensor, levels[-1]) if len(levels) > len(places) else None
        return Control(inputs=dict(zip(places, levels, strict=False)), middle=middle)


class _Block(nn.Module):
    def __init__(self, shape: AdapterBlockShape) -> None:
        super().__init__()
        out = shape.out
        if shape.channels != out:
            self.in_conv = Conv2d(shape.channels, out, 1)
        self.block1 = Conv2d(out, out, shape.first, padding=shape.first // 2)
        self.block2 = Conv2d(out, out, shape.second, padding=shape.second // 2)
        if shape.convolved:
            self.skep = Conv2d(out, out, shape.convolved, padding=shape.convolved // 2)  # sic

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        if hasattr(self, "in_conv"):
            hidden = self.in_conv(hidden)
        past = self.skep(hidden) if hasattr(self, "skep") else hidden
        result: torch.Tensor = past + self.block2(torch.relu(self.block1(hidden)))
        return result
