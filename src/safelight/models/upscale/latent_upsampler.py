"""Networks that enlarge the latents of LTX models in space or in time, under the names of their files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from safelight.models.language.architecture import layer_count
from safelight.models.residency import compute_device, residency
from safelight.models.weights import UnknownWeights, WeightFile, Weights, json_metadata, weight_file

GROUPS = 32
RATIOS = {0.75: (3, 4), 1.5: (3, 2), 2.0: (2, 1), 4.0: (4, 1)}
"""Of sides: pixels after a convolution, and the step at which they are kept."""


@dataclass(frozen=True)
class LatentUpsamplerShape:
    """``scale``: of the sides; ``in_time``: doubles the frames as well. ``is_rational``: enlarges by a whole number and
    reduces again, under names of their own. ``dimensions``: of the other convolutions."""

    channels: int
    width: int
    blocks: int
    dimensions: int = 3
    in_space: bool = True
    in_time: bool = False
    scale: float = 2.0
    is_rational: bool = False


def latent_upsampler_shape(shapes: Mapping[str, torch.Size], settings: Mapping[str, Any]) -> LatentUpsamplerShape:
    """``settings``: in the file's metadata. Raises :class:`KeyError` if a weight is missing."""
    width, channels, *kernel = shapes["initial_conv.weight"]
    is_rational = "upsampler.conv.weight" in shapes
    weight = shapes["upsampler.conv.weight" if is_rational else "upsampler.0.weight"]
    in_time = len(weight) == 5
    return LatentUpsamplerShape(
        channels=channels,
        width=width,
        blocks=layer_count(shapes, "res_blocks"),
        dimensions=len(kernel),
        in_space=not in_time or weight[0] == 8 * width,
        in_time=in_time,
        scale=float(settings.get("spatial_scale", 2.0)),
        is_rational=is_rational,
    )


class LatentUpsamplerModule(nn.Module):
    def __init__(self, shape: LatentUpsamplerShape) -> None:
        super().__init__()
        self.shape = shape
        width, convolution = shape.width, _convolution(shape.dimensions)
        self.initial_conv = convolution(shape.channels, width, 3, padding=1)
        self.initial_norm = nn.GroupNorm(GROUPS, width)
        self.res_blocks = nn.ModuleList(_Residual(shape) for _ in range(shape.blocks))
        if shape.is_rational:
            self.upsampler: nn.Module = _Rational(width, shape.scale)
        elif shape.in_time:
            factor = 8 if shape.in_space else 2
            self.upsampler = nn.ModuleList([nn.Conv3d(width, factor * width, 3, padding=1)])
        else:
            self.upsampler = nn.ModuleList([nn.Conv2d(width, 4 * width, 3, padding=1)])
        self.post_upsample_res_blocks = nn.ModuleList(_Residual(shape) for _ in range(shape.blocks))
        self.final_conv = convolution(width, shape.channels, 3, padding=1)

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        """``[B, C, frames, h, w]``, not normalized; of frames in time, ``2 * frames - 1`` are left."""
        batch = len(latent)
        hidden = _planes(latent) if self.shape.dimensions == 2 else latent
        hidden = functional.silu(self.initial_norm(self.initial_conv(hidden)))
        for block in self.res_blocks:
            hidden = block(hidden)
        hidden = self._enlarged(hidden)
        for block in self.post_upsample_res_blocks:
            hidden = block(hidden)
        made: torch.Tensor = self.final_conv(hidden)
        return _frames(made, batch) if self.shape.dimensions == 2 else made

    def _enlarged(self, hidden: torch.Tensor) -> torch.Tensor:
        if self.shape.in_time:
            made = self.upsampler[0](hidden)  # type: ignore[index]
            batch, features, frames, height, width = made.shape
            if self.shape.in_space:
                boxes = made.reshape(batch, features // 8, 2, 2, 2, frames, height, width)
                made = boxes.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(batch, -1, 2 * frames, 2 * height, 2 * width)
            else:
                pairs = made.reshape(batch, features // 2, 2, frames, height, width)
                made = pairs.transpose(2, 3).reshape(batch, -1, 2 * frames, height, width)
            later: torch.Tensor = made[:, :, 1:]
            return later
        planes = hidden if hidden.dim() == 4 else _planes(hidden)
        if isinstance(self.upsampler, _Rational):
            planes = self.upsampler(planes)
        else:
            planes = functional.pixel_shuffle(self.upsampler[0](planes), 2)  # type: ignore[index]
        return planes if hidden.dim() == 4 else _frames(planes, len(hidden))


class _Residual(nn.Module):
    def __init__(self, shape: LatentUpsamplerShape) -> None:
        super().__init__()
        convolution = _convolution(shape.dimensions)
        self.conv1 = convolution(shape.width, shape.width, 3, padding=1)
        self.norm1 = nn.GroupNorm(GROUPS, shape.width)
        self.conv2 = convolution(shape.width, shape.width, 3, padding=1)
        self.norm2 = nn.GroupNorm(GROUPS, shape.width)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        inner = functional.silu(self.norm1(self.conv1(hidden)))
        return functional.silu(self.norm2(self.conv2(inner)) + hidden)


class _Blur(nn.Module):
    """Keeps every ``step``-th pixel of a blurred plane. The kernel is in the file."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.register_buffer("kernel", torch.empty(1, 1, 5, 5))
        self.step = step

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        if self.step == 1:
            return planes
        channels = planes.shape[1]
        kernel = self.get_buffer("kernel").to(planes).expand(channels, 1, 5, 5)
        return functional.conv2d(planes, kernel, stride=self.step, padding=2, groups=channels)


class _Rational(nn.Module):
    def __init__(self, width: int, scale: float) -> None:
        super().__init__()
        self.up, step = RATIOS[scale]
        self.conv = nn.Conv2d(width, self.up**2 * width, 3, padding=1)
        self.blur_down = _Blur(step)

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.blur_down(functional.pixel_shuffle(self.conv(planes), self.up))
        return result


@dataclass(frozen=True)
class LatentUpsampler:
    """The value on ``LATENT_UPSCALE_MODEL`` links. Computes in float32."""

    weights: Weights
    shape: LatentUpsamplerShape

    def enlarge(self, latent: torch.Tensor) -> torch.Tensor:
        """``[B, C, frames, h, w]``, as an autoencoder has it before it normalizes it."""
        if latent.dim() != 5 or latent.shape[1] != self.shape.channels:
            raise ValueError(
                f"the upscale model takes video latents of {self.shape.channels} channels, but this one is "
                f"{list(latent.shape)}"
            )
        device = compute_device()

        def build() -> nn.Module:
            return LatentUpsamplerModule(self.shape)

        use = residency().use(self.weights, (), build, device=device, dtype=torch.float32)
        with use as module, torch.inference_mode():
            made: torch.Tensor = module(latent.to(device, torch.float32))
            return made.cpu()


def load_latent_upsampler(path: Path) -> LatentUpsampler:
    """Raises :class:`UnknownWeights`."""
    return latent_upsampler(weight_file(path))


def latent_upsampler(file: WeightFile) -> LatentUpsampler:
    weights, name = file.weights(), file.path.name
    if "post_upsample_res_blocks.0.conv2.bias" not in weights:
        raise UnknownWeights(f"{name!r} contains no upscale model for latents of LTX")
    try:
        shape = latent_upsampler_shape(weights.shapes, json_metadata(file, "config") or {})
    except KeyError as error:
        raise UnknownWeights(f"{name!r} contains no complete upscale model for latents: {error} is missing") from None
    if shape.is_rational and shape.scale not in RATIOS:
        raise UnknownWeights(f"{name!r} enlarges by {shape.scale}; supported are {', '.join(map(str, RATIOS))}")
    return LatentUpsampler(weights, shape)


def _convolution(dimensions: int) -> Any:
    return nn.Conv2d if dimensions == 2 else nn.Conv3d


def _planes(frames: torch.Tensor) -> torch.Tensor:
    return frames.transpose(1, 2).flatten(0, 1)


def _frames(planes: torch.Tensor, batch: int) -> torch.Tensor:
    return planes.reshape(batch, -1, *planes.shape[1:]).transpose(1, 2)
