"""The autoencoder of LTX-Video and LTX-2 (HaCohen et al. 2024), under the names of its files.

Squares of pixels are channels from the start, so that a latent pixel stands for 32x32 pixels of 8 frames; the first
latent frame is one frame. The encoder is causal, the decoder of the published files is not. Some decoders also remove
noise: they are conditioned on a timestep and add noise of their own.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional

from safelight.models.autoencoder.ltx_blocks import (
    Convolution,
    Downsample,
    Padding,
    Residual,
    ResidualGroup,
    Stride,
    StridedConvolution,
    TimestepEmbedding,
    Upsample,
    pixel_norm,
)

LATENT_NOISE = 0.025
"""The share of noise in the latent that a denoising decoder gets."""
DECODE_TIMESTEP = 0.05

Kind = Literal["residuals", "widen", "strided", "folded", "unfolded"]


@dataclass(frozen=True)
class LtxPart:
    """One of the blocks in a row. ``stride``: in time, height and width. ``adds_input``: an ``unfolded`` block, which
    enlarges, adds its input to its result."""

    kind: Kind
    channels: int
    out: int
    layers: int = 0
    stride: Stride = (1, 1, 1)
    adds_input: bool = True
    adds_noise: bool = False


@dataclass(frozen=True)
class LtxAutoencoderShape:
    """``patch``: pixels per side of the squares that are channels."""

    latent: int
    encoded: int
    """Channels that the encoder makes: means, and logarithms of variances, perhaps one for all."""
    patch: int
    encoder: tuple[LtxPart, ...]
    decoder: tuple[LtxPart, ...]
    is_timed: bool
    is_causal: bool = False
    encoder_padding: Padding = "zeros"
    decoder_padding: Padding = "reflect"

    @property
    def downscale(self) -> int:
        return self.patch * prod(part.stride[1] for part in self.encoder)

    @property
    def frames(self) -> int:
        """Frames per latent frame, after the first."""
        return prod(part.stride[0] for part in self.encoder)


def ltx_autoencoder_shape(shapes: Mapping[str, torch.Size], settings: Mapping[str, Any]) -> LtxAutoencoderShape:
    """``settings``: of the autoencoder in the file's metadata, perhaps none. Raises :class:`KeyError` if a weight is
    missing."""
    latent = shapes["decoder.conv_in.conv.weight"][1]
    return LtxAutoencoderShape(
        latent=latent,
        encoded=shapes["encoder.conv_out.conv.weight"][0],
        patch=int((shapes["encoder.conv_in.conv.weight"][1] // 3) ** 0.5),
        encoder=_encoder_parts(shapes),
        decoder=_decoder_parts(shapes, list(reversed(settings.get("decoder_blocks", ())))),
        is_timed="decoder.last_scale_shift_table" in shapes,
        is_causal=bool(settings.get("causal_decoder", False)),
        encoder_padding=settings.get("spatial_padding_mode", "zeros"),
        decoder_padding=settings.get("spatial_padding_mode", "reflect"),
    )


def _encoder_parts(shapes: Mapping[str, torch.Size]) -> tuple[LtxPart, ...]:
    made: list[LtxPart] = []
    channels = shapes["encoder.conv_in.conv.weight"][0]
    last = shapes["encoder.conv_out.conv.weight"][1]
    for prefix in _prefixes(shapes, "encoder.down_blocks"):
        if (weight := shapes.get(f"{prefix}.conv.weight")) is not None:
            made.append(LtxPart("strided", channels, weight[0], stride=(2, 2, 2)))
        elif (weight := shapes.get(f"{prefix}.conv.conv.weight")) is not None:
            following = shapes.get(f"{_next(prefix)}.res_blocks.0.conv1.conv.weight")
            out = last if following is None else following[1]
            made.append(LtxPart("folded", channels, out, stride=_STRIDES[out // weight[0]]))
        else:
            made.append(_residuals(shapes, prefix, channels))
        channels = made[-1].out
    return tuple(made)


def _decoder_parts(shapes: Mapping[str, torch.Size], settings: list[Any]) -> tuple[LtxPart, ...]:
    made: list[LtxPart] = []
    channels = shapes["decoder.conv_in.conv.weight"][0]
    last = shapes["decoder.conv_out.conv.weight"][1]
    for number, prefix in enumerate(_prefixes(shapes, "decoder.up_blocks")):
        if (weight := shapes.get(f"{prefix}.conv.conv.weight")) is None:
            made.append(_residuals(shapes, prefix, channels))
        else:
            following = shapes.get(
                f"{_next(prefix)}.res_blocks.0.conv1.conv.weight", shapes.get(f"{_next(prefix)}.conv1.conv.weight")
            )
            out = last if following is None else following[1]
            given = settings[number][1] if number < len(settings) else None
            adds = given.get("residual", False) if isinstance(given, dict) else out != channels
            made.append(LtxPart("unfolded", channels, out, stride=_STRIDES[weight[0] // out], adds_input=adds))
        channels = made[-1].out
    return tuple(made)


_STRIDES: dict[int, Stride] = {2: (2, 1, 1), 4: (1, 2, 2), 8: (2, 2, 2)}
"""By the number of positions that become one."""


def _residuals(shapes: Mapping[str, torch.Size], prefix: str, channels: int) -> LtxPart:
    if (weight := shapes.get(f"{prefix}.conv1.conv.weight")) is not None:
        return LtxPart("widen", channels, weight[0], adds_noise=f"{prefix}.per_channel_scale1" in shapes)
    layers = len(
        {name for name in shapes if re.fullmatch(re.escape(prefix) + r"\.res_blocks\.\d+\.conv1\.conv\.weight", name)}
    )
    if not layers:
        raise KeyError(f"{prefix}.res_blocks.0.conv1.conv.weight")
    noisy = f"{prefix}.res_blocks.0.per_channel_scale1" in shapes
    return LtxPart("residuals", channels, channels, layers=layers, adds_noise=noisy)


def _prefixes(shapes: Mapping[str, torch.Size], blocks: str) -> list[str]:
    numbered = re.compile(re.escape(blocks) + r"\.(\d+)\.")
    count = 1 + max((int(found[1]) for name in shapes if (found := numbered.match(name))), default=-1)
    return [f"{blocks}.{number}" for number in range(count)]


def _next(prefix: str) -> str:
    blocks, _, number = prefix.rpartition(".")
    return f"{blocks}.{int(number) + 1}"


class LtxVideoAutoencoder(nn.Module):
    def __init__(self, shape: LtxAutoencoderShape) -> None:
        super().__init__()
        self.shape = shape
        self.encoder = _Encoder(shape)
        self.decoder = _Decoder(shape)
        self.per_channel_statistics = _Statistics(shape.latent)

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        """``[B, 3, frames, H, W]`` in -1..1 to the mean of the latent, ``[B, C, 1 + (frames - 1) / 8, h, w]``."""
        mean = self.encoder(frames)[:, : self.shape.latent]
        return self.per_channel_statistics.normalized(mean)

    def decode(self, latent: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """``[B, C, frames, h, w]`` to ``[B, 3, 1 + 8 * (frames - 1), H, W]``, about -1..1. ``generator``: of the noise
        that some decoders add, on the CPU."""
        if self.shape.is_timed:
            noise = torch.randn(latent.shape, generator=generator).to(latent)
            latent = noise * LATENT_NOISE + latent * (1 - LATENT_NOISE)
        frames: torch.Tensor = self.decoder(self.per_channel_statistics.inverse(latent), generator)
        return frames


class _Statistics(nn.Module):
    """Mean and deviation of each channel in the training data."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        for name in ("std-of-means", "mean-of-means"):
            self.register_buffer(name, torch.empty(channels))

    def normalized(self, latent: torch.Tensor) -> torch.Tensor:
        return (latent - self._numbers("mean-of-means")) / self._numbers("std-of-means")

    def inverse(self, latent: torch.Tensor) -> torch.Tensor:
        return latent * self._numbers("std-of-means") + self._numbers("mean-of-means")

    def _numbers(self, name: str) -> torch.Tensor:
        return self.get_buffer(name)[:, None, None, None]


class _Encoder(nn.Module):
    def __init__(self, shape: LtxAutoencoderShape) -> None:
        super().__init__()
        self.patch = shape.patch
        padding = shape.encoder_padding
        self.conv_in = Convolution(3 * shape.patch**2, shape.encoder[0].channels, padding=padding)
        self.down_blocks = nn.ModuleList(_down_block(part, padding) for part in shape.encoder)
        self.conv_out = Convolution(shape.encoder[-1].out, shape.encoded, padding=padding)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        hidden = self.conv_in(_in_squares(frames, self.patch))
        for block in self.down_blocks:
            hidden = block(hidden)
        result: torch.Tensor = self.conv_out(functional.silu(pixel_norm(hidden)))
        return result


def _down_block(part: LtxPart, padding: Padding) -> nn.Module:
    if part.kind == "residuals":
        return ResidualGroup(part.channels, part.layers, padding=padding)
    if part.kind == "widen":
        return Residual(part.channels, part.out, padding=padding)
    if part.kind == "strided":
        return StridedConvolution(part.channels, part.out, stride=part.stride, padding=padding)
    return Downsample(part.channels, part.out, stride=part.stride, padding=padding)


class _Decoder(nn.Module):
    def __init__(self, shape: LtxAutoencoderShape) -> None:
        super().__init__()
        self.patch, self.is_timed, self.is_causal = shape.patch, shape.is_timed, shape.is_causal
        padding, last = shape.decoder_padding, shape.decoder[-1].out
        self.conv_in = Convolution(shape.latent, shape.decoder[0].channels, padding=padding)
        self.up_blocks = nn.ModuleList(_up_block(part, padding, is_timed=shape.is_timed) for part in shape.decoder)
        self.conv_out = Convolution(last, 3 * shape.patch**2, padding=padding)
        if shape.is_timed:
            self.timestep_scale_multiplier = nn.Parameter(torch.empty(()))
            self.last_time_embedder = TimestepEmbedding(2 * last)
            self.last_scale_shift_table = nn.Parameter(torch.empty(2, last))

    def forward(self, latent: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        causal = self.is_causal
        timestep = DECODE_TIMESTEP * self.timestep_scale_multiplier if self.is_timed else None
        hidden = self.conv_in(latent, is_causal=causal)
        for block in self.up_blocks:
            if isinstance(block, Upsample):
                hidden = block(hidden, is_causal=causal)
            else:
                hidden = block(hidden, is_causal=causal, timestep=timestep, generator=generator)
        hidden = pixel_norm(hidden)
        if timestep is not None:
            embedding = self.last_time_embedder(timestep).reshape(-1, *self.last_scale_shift_table.shape)
            shift, scale = (self.last_scale_shift_table + embedding)[..., None, None, None].unbind(1)
            hidden = hidden * (1 + scale) + shift
        return _from_squares(self.conv_out(functional.silu(hidden), is_causal=causal), self.patch)


def _up_block(part: LtxPart, padding: Padding, *, is_timed: bool) -> nn.Module:
    if part.kind == "unfolded":
        return Upsample(part.channels, part.out, stride=part.stride, adds_input=part.adds_input, padding=padding)
    if part.kind == "widen":
        return Residual(part.channels, part.out, padding=padding, adds_noise=part.adds_noise)
    return ResidualGroup(part.channels, part.layers, padding=padding, adds_noise=part.adds_noise, is_timed=is_timed)


def _in_squares(frames: torch.Tensor, size: int) -> torch.Tensor:
    """``[B, C, frames, H, W]`` to ``[B, C * size * size, frames, h, w]``; columns change slower than rows."""
    batch, channels, count, height, width = frames.shape
    squares = frames.reshape(batch, channels, count, height // size, size, width // size, size)
    return squares.permute(0, 1, 6, 4, 2, 3, 5).reshape(batch, -1, count, height // size, width // size)


def _from_squares(squares: torch.Tensor, size: int) -> torch.Tensor:
    batch, features, count, height, width = squares.shape
    planes = squares.reshape(batch, features // size**2, size, size, count, height, width)
    return planes.permute(0, 1, 4, 5, 3, 6, 2).reshape(batch, -1, count, height * size, width * size)
