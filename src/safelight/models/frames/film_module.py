"""FILM (Reda et al., "FILM: Frame Interpolation for Large Motion", 2022), under the names of its converted files:
features of two frames at several scales, the flow between them from coarse to fine, and a picture from both, moved to
the time in between.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from safelight.models.operations import Conv2d
from safelight.models.weights import count_blocks

LEVELS = 7
"""Scales at which the flow is estimated, each half of the one before."""
FUSED = 5
"""Scales that the picture is made from."""
SPECIALISED = 3
_LEAK = 0.2

Pyramid = list[torch.Tensor]
"""Planes ``[B, C, h, w]``, the finest first."""


@dataclass(frozen=True, slots=True)
class FilmShape:
    """``filters``: of the finest features; ``depth``: scales of the features of one picture. ``flows``: convolutions
    and their filters of each estimator, the finest first."""

    filters: int
    depth: int
    flows: tuple[tuple[int, int], ...]


def film_shape(shapes: Mapping[str, torch.Size]) -> FilmShape:
    """Read the shape off the weights. Raises :class:`KeyError` with the name that is missing."""
    filters = shapes["extract.extract_sublevels.convs.0.0.conv.weight"][0]
    count = count_blocks(shapes, "predict_flow._predictors")
    names = [f"predict_flow._predictors.{count - 1 - index}" for index in range(count)] + ["predict_flow._predictor"]
    flows = tuple(
        (count_blocks(shapes, f"{name}._convs") - 2, shapes[f"{name}._convs.0.conv.weight"][0]) for name in names
    )
    return FilmShape(filters, count_blocks(shapes, "extract.extract_sublevels.convs"), flows)


class Film(nn.Module):
    def __init__(self, shape: FilmShape) -> None:
        super().__init__()
        self.extract = _Features(shape)
        self.predict_flow = _Flow(shape)
        self.fuse = _Fusion(shape)

    def forward(self, first: torch.Tensor, second: torch.Tensor, times: Sequence[float]) -> torch.Tensor:
        """Pictures at ``times`` in 0..1 between two frames ``[1, 3, H, W]`` in 0..1: ``[len(times), 3, H, W]``."""
        pictures = [_halved(frame, LEVELS) for frame in (first, second)]
        features = [self.extract(pyramid) for pyramid in pictures]
        forward = _summed(self.predict_flow(*features))[:FUSED]
        backward = _summed(self.predict_flow(*reversed(features)))[:FUSED]
        layers = [
            [torch.cat(pair, dim=1) for pair in zip(picture[:FUSED], seen[:FUSED], strict=True)]
            for picture, seen in zip(pictures, features, strict=True)
        ]
        made = []
        for time in times:
            to_first = [flow * time for flow in backward]
            to_second = [flow * (1 - time) for flow in forward]
            moved = [
                [_moved(planes, flow) for planes, flow in zip(pyramid, flows, strict=True)]
                for pyramid, flows in zip(layers, (to_first, to_second), strict=True)
            ]
            aligned = zip(*moved, to_first, to_second, strict=True)
            made.append(self.fuse([torch.cat(planes, dim=1) for planes in aligned]))
        return torch.cat(made)


class _Convolution(nn.Module):
    """With a leaky ReLU after it. One of even size is padded below and to the right."""

    def __init__(self, channels: int, out: int, size: int, *, activates: bool = True) -> None:
        super().__init__()
        self.conv = Conv2d(channels, out, size, padding=size // 2 if size % 2 else 0)
        self.pads = size % 2 == 0
        self.activates = activates

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.conv(functional.pad(planes, (0, 1, 0, 1)) if self.pads else planes)
        return functional.leaky_relu(result, _LEAK) if self.activates else result


class _Sublevels(nn.Module):
    def __init__(self, shape: FilmShape) -> None:
        super().__init__()
        widths = [3, *(shape.filters << level for level in range(shape.depth))]
        self.convs = nn.ModuleList(
            nn.Sequential(_Convolution(before, after, 3), _Convolution(after, after, 3))
            for before, after in pairwise(widths)
        )

    def forward(self, picture: torch.Tensor, depth: int) -> Pyramid:
        """Features of a picture at this and smaller scales, ``depth`` in all."""
        made: Pyramid = []
        for number, layer in enumerate(list(self.convs)[:depth]):
            made.append(layer(picture if not number else functional.avg_pool2d(made[-1], 2, 2)))
        return made


class _Features(nn.Module):
    def __init__(self, shape: FilmShape) -> None:
        super().__init__()
        self.extract_sublevels = _Sublevels(shape)
        self.depth = shape.depth

    def forward(self, pictures: Pyramid) -> Pyramid:
        """At each scale, the features of the picture at this scale and of those above it."""
        seen = [
            self.extract_sublevels(picture, min(len(pictures) - level, self.depth))
            for level, picture in enumerate(pictures)
        ]
        return [
            torch.cat([seen[level - deeper][deeper] for deeper in range(min(level + 1, self.depth))], dim=1)
            for level in range(len(pictures))
        ]


class _Estimator(nn.Module):
    def __init__(self, channels: int, count: int, filters: int) -> None:
        super().__init__()
        widths = [channels, *[filters] * count]
        made = [_Convolution(before, after, 3) for before, after in pairwise(widths)]
        made += [_Convolution(filters, filters // 2, 1), _Convolution(filters // 2, 2, 1, activates=False)]
        self._convs = nn.ModuleList(made)

    def forward(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        hidden = torch.cat((one, other), dim=1)
        for layer in self._convs:
            hidden = layer(hidden)
        return hidden


class _Flow(nn.Module):
    """The finest scales have estimators of their own; all others share one."""

    def __init__(self, shape: FilmShape) -> None:
        super().__init__()
        channels = 2 * shape.filters
        made = []
        for level, (count, filters) in enumerate(shape.flows):
            made.append(_Estimator(channels, count, filters))
            channels += shape.filters << (level + 2)
        self._predictor = made[-1]
        self._predictors = nn.ModuleList(reversed(made[:-1]))

    def forward(self, one: Pyramid, other: Pyramid) -> Pyramid:
        """The change of the flow at each scale, the finest first."""
        own = list(self._predictors)[::-1]
        flow = self._predictor(one[-1], other[-1])
        changes = [flow]
        for level in range(len(one) - 2, -1, -1):
            estimator = own[level] if level < len(own) else self._predictor
            flow = _doubled(flow, one[level])
            changes.append(estimator(one[level], _moved(other[level], flow)))
            flow = flow + changes[-1]
        return changes[::-1]


class _Fusion(nn.Module):
    def __init__(self, shape: FilmShape) -> None:
        super().__init__()
        self.output_conv = Conv2d(shape.filters, 3, 1)
        self.convs = nn.ModuleList()
        channels = _aligned(shape.depth, shape.filters)
        for level in range(shape.depth - 1, -1, -1):
            filters = shape.filters << min(level, SPECIALISED)
            own = _aligned(min(level + 1, shape.depth), shape.filters)
            self.convs.append(
                nn.ModuleList(
                    [
                        _Convolution(channels, filters, 2, activates=False),
                        _Convolution(own + filters, filters, 3),
                        _Convolution(filters, filters, 3),
                    ]
                )
            )
            channels = filters

    def forward(self, pyramid: Pyramid) -> torch.Tensor:
        hidden = pyramid[-1]
        layers: Any
        for level, layers in zip(range(len(self.convs) - 1, -1, -1), self.convs, strict=True):
            hidden = layers[0](functional.interpolate(hidden, size=pyramid[level].shape[2:], mode="nearest"))
            hidden = layers[2](layers[1](torch.cat((pyramid[level], hidden), dim=1)))
        result: torch.Tensor = self.output_conv(hidden)
        return result


def _aligned(scales: int, filters: int) -> int:
    """Channels of what is fused: features of so many scales, the picture and the flow, of both frames."""
    return 2 * (sum(filters << scale for scale in range(scales)) + 3 + 2)


def _halved(picture: torch.Tensor, levels: int) -> Pyramid:
    made = [picture]
    for _ in range(levels - 1):
        made.append(functional.avg_pool2d(made[-1], 2, 2))
    return made


def _summed(changes: Pyramid) -> Pyramid:
    """The flow at each scale, from its changes."""
    flows = [changes[-1]]
    for change in changes[-2::-1]:
        flows.append(_doubled(flows[-1], change) + change)
    return flows[::-1]


def _doubled(flow: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """A flow at the next finer scale, in its pixels."""
    return 2 * functional.interpolate(flow, size=like.shape[2:], mode="bilinear")


def _moved(planes: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """Each pixel from where the flow ``[B, 2, h, w]`` (x, y) points to."""
    height, width = flow.shape[2:]
    x = torch.linspace(-(1 - 1 / width), 1 - 1 / width, width, device=flow.device)
    y = torch.linspace(-(1 - 1 / height), 1 - 1 / height, height, device=flow.device)
    across, down = flow[:, 0].float() * (2 / width), flow[:, 1].float() * (2 / height)
    grid = torch.stack((x[None, None] + across, y[None, :, None] + down), dim=-1)
    return functional.grid_sample(planes.float(), grid, mode="bilinear", padding_mode="border", align_corners=False).to(
        planes.dtype
    )
