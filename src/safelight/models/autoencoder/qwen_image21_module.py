"""The autoencoder of Qwen-Image 2.1: pictures with transparency at 1/16 of their size, in 64 channels. The names are
those of diffusers, whose class is the reference.

It was cut out of an autoencoder of videos (that of Wan 2.2) for pictures alone. What is left of that are shortcuts
around each level that average over pairs of frames as well, of which a picture has only the later one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from safelight.models.language.architecture import layer_count
from safelight.models.weights import Weights

MARK = "decoder.up_blocks.0.resnets.0.conv1.weight"
_IN_TIME = re.compile(r"(encoder|decoder)\.(down|up)_blocks\.\d+\.(downsampler|upsampler)\.time_conv\..*")


@dataclass(frozen=True)
class Level:
    """``resamples``: it halves or doubles the sides; ``in_time``: and, in a video, the frames."""

    channels: int
    out: int
    blocks: int
    resamples: bool
    in_time: bool


@dataclass(frozen=True)
class QwenImage21AutoencoderShape:
    """The autoencoder as its weights show it. ``image``: channels of pictures."""

    latent: int
    image: int
    encoder: tuple[Level, ...]
    decoder: tuple[Level, ...]

    @property
    def downscale(self) -> int:
        return 1 << sum(level.resamples for level in self.encoder)


def autoencoder_weights(weights: Weights) -> Weights:
    """The weights of pictures: without convolutions in time, and without axes of length 1."""
    made = {}
    for name, source in weights.sources.items():
        if not name.startswith(("encoder.", "decoder.", "quant_conv.", "post_quant_conv.")) or _IN_TIME.fullmatch(name):
            continue
        shape = tuple(source.shape)
        if name.endswith("gamma"):
            shape = shape[:1]
        elif len(shape) == 5 and shape[2] == 1:
            shape = (*shape[:2], *shape[3:])
        made[name] = source if shape == tuple(source.shape) else replace(source, reshaped=shape)
    return Weights(made)


def autoencoder_shape(shapes: Mapping[str, torch.Size]) -> QwenImage21AutoencoderShape:
    """``shapes``: of all weights in the file. Raises :class:`KeyError` if one is missing."""
    known = any(_IN_TIME.fullmatch(name) for name in shapes)
    encoder = _levels(shapes, "encoder.down_blocks", "downsampler", known)
    decoder = _levels(shapes, "decoder.up_blocks", "upsampler", known)
    return QwenImage21AutoencoderShape(
        latent=shapes["post_quant_conv.weight"][0],
        image=shapes["encoder.conv_in.weight"][1],
        encoder=encoder,
        decoder=decoder,
    )


def _levels(shapes: Mapping[str, torch.Size], prefix: str, sampler: str, known: bool) -> tuple[Level, ...]:
    made = []
    count = layer_count(shapes, prefix)
    outermost = 0 if sampler == "downsampler" else count - 2
    for number in range(count):
        level = f"{prefix}.{number}"
        out, channels = shapes[f"{level}.resnets.0.conv1.weight"][:2]
        resamples = f"{level}.{sampler}.resample.1.weight" in shapes
        in_time = f"{level}.{sampler}.time_conv.weight" in shapes if known else number != outermost
        blocks = layer_count(shapes, f"{level}.resnets")
        made.append(Level(channels, out, blocks, resamples, resamples and in_time))
    return tuple(made)


class QwenImage21Autoencoder(nn.Module):
    def __init__(self, shape: QwenImage21AutoencoderShape) -> None:
        super().__init__()
        self.encoder = _Encoder(shape)
        self.quant_conv = nn.Conv2d(2 * shape.latent, 2 * shape.latent, 1)
        self.post_quant_conv = nn.Conv2d(shape.latent, shape.latent, 1)
        self.decoder = _Decoder(shape)

    def moments(self, planes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and logarithm of the variance, ``[B, C, h, w]``, of ``planes [B, 4, H, W]`` in -1..1."""
        mean, deviation = self.quant_conv(self.encoder(planes)).chunk(2, dim=1)
        return mean, deviation

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """``[B, C, h, w]`` to ``[B, 4, H, W]``, about -1..1."""
        result: torch.Tensor = self.decoder(self.post_quant_conv(latent))
        return result


class _Encoder(nn.Module):
    def __init__(self, shape: QwenImage21AutoencoderShape) -> None:
        super().__init__()
        first, last = shape.encoder[0].channels, shape.encoder[-1].out
        self.conv_in = nn.Conv2d(shape.image, first, 3, padding=1)
        self.down_blocks = nn.ModuleList(_Down(level) for level in shape.encoder)
        self.mid_block = _Middle(last)
        self.norm_out = _Norm(last)
        self.conv_out = nn.Conv2d(last, 2 * shape.latent, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv_in(x)
        for block in self.down_blocks:
            x = block(x)
        result: torch.Tensor = self.conv_out(functional.silu(self.norm_out(self.mid_block(x))))
        return result


class _Decoder(nn.Module):
    def __init__(self, shape: QwenImage21AutoencoderShape) -> None:
        super().__init__()
        first, last = shape.decoder[0].channels, shape.decoder[-1].out
        self.conv_in = nn.Conv2d(shape.latent, first, 3, padding=1)
        self.mid_block = _Middle(first)
        self.up_blocks = nn.ModuleList(_Up(level) for level in shape.decoder)
        self.norm_out = _Norm(last)
        self.conv_out = nn.Conv2d(last, shape.image, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.mid_block(self.conv_in(x))
        for block in self.up_blocks:
            x = block(x)
        result: torch.Tensor = self.conv_out(functional.silu(self.norm_out(x)))
        return result


class _Norm(nn.Module):
    """Each pixel's channels are divided by their length."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.empty(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scaled = self.gamma[:, None, None] * x.shape[1] ** 0.5
        result: torch.Tensor = functional.normalize(x, dim=1) * scaled
        return result


class _Residual(nn.Module):
    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = _Norm(channels), _Norm(out)
        self.conv1 = nn.Conv2d(channels, out, 3, padding=1)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        if channels != out:
            self.conv_shortcut = nn.Conv2d(channels, out, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.conv1(functional.silu(self.norm1(x)))
        hidden = self.conv2(functional.silu(self.norm2(hidden)))
        kept: torch.Tensor = self.conv_shortcut(x) if hasattr(self, "conv_shortcut") else x
        result: torch.Tensor = kept + hidden
        return result


class _Attention(nn.Module):
    """With one head."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = _Norm(channels)
        self.to_qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.proj = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (part.flatten(2).transpose(1, 2)[:, None] for part in self.to_qkv(self.norm(x)).chunk(3, dim=1))
        attended = functional.scaled_dot_product_attention(q, k, v)[:, 0].transpose(1, 2).reshape(x.shape)
        result: torch.Tensor = x + self.proj(attended)
        return result


class _Middle(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.resnets = nn.ModuleList([_Residual(channels, channels), _Residual(channels, channels)])
        self.attentions = nn.ModuleList([_Attention(channels)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.resnets[1](self.attentions[0](self.resnets[0](x)))
        return result


class _Halving(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.resample = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(channels, channels, 3, stride=2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.resample(x)
        return result


class _Doubling(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.resample = nn.Sequential(nn.Upsample(scale_factor=2.0, mode="nearest-exact"), conv)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.resample(x)
        return result


class _Down(nn.Module):
    def __init__(self, level: Level) -> None:
        super().__init__()
        self.level = level
        widths = [level.channels] + [level.out] * level.blocks
        self.resnets = nn.ModuleList(_Residual(*pair) for pair in pairwise(widths))
        if level.resamples:
            self.downsampler = _Halving(level.out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = self._averaged(x)
        for block in self.resnets:
            x = block(x)
        return kept + (self.downsampler(x) if self.level.resamples else x)

    def _averaged(self, x: torch.Tensor) -> torch.Tensor:
        """Squares of pixels as channels, averaged in groups; in time, after the same of an empty frame."""
        if self.level.resamples:
            x = functional.pixel_unshuffle(x, 2)
        if self.level.in_time:
            squares = x.reshape(len(x), -1, 4, *x.shape[2:])
            x = torch.stack((torch.zeros_like(squares), squares), dim=2).flatten(1, 3)
        return x.reshape(len(x), self.level.out, -1, *x.shape[2:]).mean(dim=2)


class _Up(nn.Module):
    def __init__(self, level: Level) -> None:
        super().__init__()
        self.level = level
        widths = [level.channels] + [level.out] * level.blocks
        self.resnets = nn.ModuleList(_Residual(*pair) for pair in pairwise(widths))
        if level.resamples:
            self.upsampler = _Doubling(level.out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        before = x
        for block in self.resnets:
            x = block(x)
        return self.upsampler(x) + self._repeated(before) if self.level.resamples else x

    def _repeated(self, x: torch.Tensor) -> torch.Tensor:
        """Channels repeated to squares of pixels; in time, those of the later frame."""
        frames = 2 if self.level.in_time else 1
        repeated = x.repeat_interleave(4 * frames * self.level.out // self.level.channels, dim=1)
        later = repeated.reshape(len(x), self.level.out, frames, 4, *x.shape[2:])[:, :, -1]
        return functional.pixel_shuffle(later.flatten(1, 2), 2)
