"""T2I-Adapter (Mou et al. 2023): a small network that processes an image once and adds to the down path of a UNet.

Names are those of the original files: ``body`` counts the residual blocks of all levels.
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
"""Residual blocks per level."""

_INPUT_BLOCKS = {8: (2, 5, 8, 11), 16: (3, 5, 8)}
"""By the number of pixels per side that become one: the UNet input blocks after which the levels are added. A further
level is added after the middle block."""

_HALVES = {8: (1, 2, 3), 16: (2,)}
"""Levels that begin by halving the size, by the same number."""


@dataclass(frozen=True, slots=True)
class AdapterBlockShape:
    """``first``, ``second``: kernel sizes. ``convolved``: kernel size of the convolution on the skip path, 0 without
    one."""

    channels: int
    out: int
    first: int
    second: int
    convolved: int


@dataclass(frozen=True, slots=True)
class AdapterShape:
    """``pixels``: pixels per side that become channels of one."""

    colors: int
    pixels: int
    start: ConvolutionShape
    blocks: tuple[AdapterBlockShape, ...]


def in_adapter_layout(weights: Weights) -> Weights:
    """Rename weights from diffusers' layout to the original one; other names stay."""
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
    """Read the shape off the weights. Raises :class:`KeyError` with the name that is missing."""
    out, seen = shapes["conv_in.weight"][:2]
    pixels = 16 if seen % 256 == 0 else 8
    numbers = {int(found[1]) for name in shapes if (found := re.match(r"body\.(\d+)\.", name))}
    if len(numbers) != 4 * _BLOCKS:
        raise KeyError(f"body.{4 * _BLOCKS - 1}.block1.weight")
    blocks, before = [], out
    for number in range(len(numbers)):
        first, second = shapes[f"body.{number}.block1.weight"], shapes[f"body.{number}.block2.weight"]
        skip = shapes.get(f"body.{number}.skep.weight")
        blocks.append(AdapterBlockShape(before, first[0], first[2], second[2], skip[2] if skip else 0))
        before = first[0]
    return AdapterShape(seen // pixels**2, pixels, ConvolutionShape(seen, out), tuple(blocks))


class T2IAdapter(nn.Module):
    def __init__(self, shape: AdapterShape) -> None:
        super().__init__()
        self.shape = shape
        self.conv_in = Conv2d(shape.start.channels, shape.start.out, 3, padding=1)
        self.body = nn.ModuleList(map(_Block, shape.blocks))

    def forward(self, image: torch.Tensor) -> Control:
        """``image [B, 3, 8 h, 8 w]`` in 0..1."""
        pixels = self.shape.pixels
        if self.shape.colors == 1:
            image = image.mean(dim=1, keepdim=True)
        height, width = image.shape[2:]
        missing = (0, -width % pixels, 0, -height % pixels)
        image = functional.pad(image, missing, mode="replicate") if any(missing) else image
        hidden = self.conv_in(functional.pixel_unshuffle(image, pixels))
        levels = []
        for number, block in enumerate(self.body):
            if number % _BLOCKS == 0 and number // _BLOCKS in _HALVES[pixels]:
                hidden = functional.avg_pool2d(hidden, 2, ceil_mode=True)
            hidden = block(hidden)
            if number % _BLOCKS == _BLOCKS - 1:
                levels.append(hidden)
        blocks = _INPUT_BLOCKS[pixels]
        middle = cast(torch.Tensor, levels[-1]) if len(levels) > len(blocks) else None
        return Control(inputs=dict(zip(blocks, levels, strict=False)), middle=middle)


class _Block(nn.Module):
    def __init__(self, shape: AdapterBlockShape) -> None:
        super().__init__()
        out = shape.out
        if shape.channels != out:
            self.in_conv = Conv2d(shape.channels, out, 1)
        self.block1 = Conv2d(out, out, shape.first, padding=shape.first // 2)
        self.block2 = Conv2d(out, out, shape.second, padding=shape.second // 2)
        if shape.convolved:
            self.skep = Conv2d(out, out, shape.convolved, padding=shape.convolved // 2)  # sic: the name in the files

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        if hasattr(self, "in_conv"):
            hidden = self.in_conv(hidden)
        skip = self.skep(hidden) if hasattr(self, "skep") else hidden
        result: torch.Tensor = skip + self.block2(torch.relu(self.block1(hidden)))
        return result
