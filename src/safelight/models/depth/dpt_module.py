"""The dense prediction head of Depth Anything 3's single-view models (Lin et al. 2025, after Ranftl et al., "Vision
Transformers for Dense Prediction", 2021): features of four layers at four scales, fused from coarse to fine.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from safelight.models.depth.dino_module import PATCH
from safelight.models.operations import Conv2d


@dataclass(frozen=True, slots=True)
class DptShape:
    """``channels``: of the four scales, the finest first. ``features``: of all of them when they are fused. ``inner``:
    of the last convolution but one."""

    width: int
    channels: tuple[int, int, int, int]
    features: int
    inner: int
    has_sky: bool


def dpt_shape(shapes: Mapping[str, torch.Size]) -> DptShape:
    """Read the shape off the weights. Raises :class:`KeyError` with the name that is missing."""
    first, second, third, fourth = (shapes[f"projects.{level}.weight"][0] for level in range(4))
    return DptShape(
        width=shapes["projects.0.weight"][1],
        channels=(first, second, third, fourth),
        features=shapes["scratch.layer1_rn.weight"][0],
        inner=shapes["scratch.output_conv2.0.weight"][0],
        has_sky="scratch.sky_output_conv2.0.weight" in shapes,
    )


class Dpt(nn.Module):
    def __init__(self, shape: DptShape) -> None:
        super().__init__()
        channels, features = shape.channels, shape.features
        self.projects = nn.ModuleList(Conv2d(shape.width, count, 1) for count in channels)
        self.resize_layers = nn.ModuleList(
            [
                nn.ConvTranspose2d(channels[0], channels[0], 4, stride=4),
                nn.ConvTranspose2d(channels[1], channels[1], 2, stride=2),
                nn.Identity(),
                Conv2d(channels[3], channels[3], 3, stride=2, padding=1),
            ]
        )
        self.scratch = nn.Module()
        for level, count in enumerate(channels, start=1):
            self.scratch.add_module(f"layer{level}_rn", Conv2d(count, features, 3, padding=1, bias=False))
            self.scratch.add_module(f"refinenet{level}", _Fusion(features, joins=level < 4))
        self.scratch.output_conv1 = Conv2d(features, features // 2, 3, padding=1)
        self.scratch.output_conv2 = _output(features // 2, shape.inner)
        if shape.has_sky:
            self.scratch.sky_output_conv2 = _output(features // 2, shape.inner)

    def forward(self, states: Sequence[torch.Tensor], rows: int, columns: int) -> dict[str, torch.Tensor]:
        """``depth [B, H, W]`` above 0, and ``sky``, from 0 on, if the model knows it. ``states``: of the encoder."""
        scratch: Any = self.scratch
        scales = []
        for level, tokens in enumerate(states):
            planes = tokens.transpose(1, 2).reshape(len(tokens), -1, rows, columns)
            resized = self.resize_layers[level](self.projects[level](planes))
            scales.append(scratch.get_submodule(f"layer{level + 1}_rn")(resized))
        fused = scratch.refinenet4(scales[3], None, scales[2].shape[-2:])
        fused = scratch.refinenet3(fused, scales[2], scales[1].shape[-2:])
        fused = scratch.refinenet2(fused, scales[1], scales[0].shape[-2:])
        finest = scales[0].shape[-2:]
        fused = scratch.refinenet1(fused, scales[0], (2 * finest[0], 2 * finest[1]))
        last = scratch.output_conv1(fused)
        last = functional.interpolate(last, size=(rows * PATCH, columns * PATCH), mode="bilinear", align_corners=True)
        made = {"depth": scratch.output_conv2(last)[:, 0].exp()}
        if hasattr(scratch, "sky_output_conv2"):
            made["sky"] = functional.relu(scratch.sky_output_conv2(last)[:, 0])
        return made


class _Unit(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv1 = Conv2d(features, features, 3, padding=1)
        self.conv2 = Conv2d(features, features, 3, padding=1)

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        inner = self.conv1(functional.relu(planes))
        result: torch.Tensor = planes + self.conv2(functional.relu(inner))
        return result


class _Fusion(nn.Module):
    def __init__(self, features: int, *, joins: bool) -> None:
        super().__init__()
        if joins:
            self.resConfUnit1 = _Unit(features)
        self.resConfUnit2 = _Unit(features)
        self.out_conv = Conv2d(features, features, 1)

    def forward(self, planes: torch.Tensor, finer: torch.Tensor | None, size: tuple[int, int]) -> torch.Tensor:
        if finer is not None:
            planes = planes + self.resConfUnit1(finer)
        planes = functional.interpolate(self.resConfUnit2(planes), size=size, mode="bilinear", align_corners=True)
        result: torch.Tensor = self.out_conv(planes)
        return result


def _output(channels: int, inner: int) -> nn.Sequential:
    return nn.Sequential(Conv2d(channels, inner, 3, padding=1), nn.ReLU(), Conv2d(inner, 1, 1))
