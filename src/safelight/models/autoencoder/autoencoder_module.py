"""The convolutional autoencoder of latent diffusion (Rombach et al. 2022, appendix), built from the shapes of its
weights.

Names are those of the original files below ``first_stage_model.``. Images are ``[B, 3, H, W]`` in -1..1.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torch.nn import functional

PACKED = 2
"""Pixels per side of the squares that become one latent pixel."""


@dataclass(frozen=True, slots=True)
class AutoencoderShape:
    """``channels``: per level, the finest first. ``blocks``: residual blocks per level of the encoder; the decoder has
    one more.

    ``has_quant``: 1x1 convolutions before and after the latent (all but those of flow models have them).
    ``normalizes``: squares of four latent pixels become one, and each channel is normalized (Flux 2)."""

    latent: int
    channels: tuple[int, ...]
    blocks: int
    has_attention: bool
    has_quant: bool
    normalizes: bool = False
    decoder_channels: tuple[int, ...] = ()
    """If they are not those of the encoder."""

    @property
    def downscale(self) -> int:
        return int(2 ** (len(self.channels) - 1)) * (PACKED if self.normalizes else 1)


def autoencoder_shape(shapes: Mapping[str, torch.Size]) -> AutoencoderShape:
    """Read the shape off the weights. Raises :class:`KeyError` with the name that is missing."""
    levels: dict[int, int] = {}
    decoder: dict[int, int] = {}
    blocks = 0
    for name, shape in shapes.items():
        if found := re.fullmatch(r"encoder\.down\.(\d+)\.block\.(\d+)\.conv2\.weight", name):
            levels[int(found[1])] = shape[0]
            blocks = max(blocks, int(found[2]) + 1)
        elif found := re.fullmatch(r"decoder\.up\.(\d+)\.block\.0\.conv2\.weight", name):
            decoder[int(found[1])] = shape[0]
    return AutoencoderShape(
        latent=shapes["decoder.conv_in.weight"][1],
        channels=tuple(levels[level] for level in sorted(levels)),
        blocks=blocks,
        has_attention="encoder.mid.attn_1.q.weight" in shapes,
        has_quant="post_quant_conv.weight" in shapes,
        normalizes="bn.running_mean" in shapes,
        decoder_channels=() if decoder == levels else tuple(decoder[level] for level in sorted(decoder)),
    )


class Autoencoder(nn.Module):
    def __init__(self, shape: AutoencoderShape, *, groups: int = 32) -> None:
        super().__init__()
        self.encoder = _Encoder(shape, groups)
        self.decoder = _Decoder(shape, groups)
        latent = shape.latent
        self.quant_conv = nn.Conv2d(2 * latent, 2 * latent, 1) if shape.has_quant else nn.Identity()
        self.post_quant_conv = nn.Conv2d(latent, latent, 1) if shape.has_quant else nn.Identity()
        if shape.normalizes:
            self.bn = LatentNorm(latent * PACKED**2)

    def moments(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log variance of the latent, ``[B, C, h, w]`` each."""
        mean, log_variance = self.quant_conv(self.encoder(image)).chunk(2, dim=1)
        if hasattr(self, "bn"):
            mean = self.bn(functional.pixel_unshuffle(mean, PACKED))
            log_variance = functional.pixel_unshuffle(log_variance, PACKED) - self.bn.log_variance()
        return mean, log_variance

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        if hasattr(self, "bn"):
            latent = functional.pixel_shuffle(self.bn.inverse(latent), PACKED)
        image: torch.Tensor = self.decoder(self.post_quant_conv(latent))
        return image


class LatentNorm(nn.Module):
    """Mean 0 and variance 1 of each channel, as the training data had them on average."""

    def __init__(self, channels: int, *, epsilon: float = 1e-4) -> None:
        super().__init__()
        self.running_mean = nn.Parameter(torch.empty(channels))
        self.running_var = nn.Parameter(torch.empty(channels))
        self.epsilon = epsilon

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        return functional.batch_norm(latent, self.running_mean, self.running_var, eps=self.epsilon)

    def inverse(self, latent: torch.Tensor) -> torch.Tensor:
        deviation = (self.running_var + self.epsilon).sqrt()
        return latent * deviation[:, None, None] + self.running_mean[:, None, None]

    def log_variance(self) -> torch.Tensor:
        return (self.running_var + self.epsilon).log()[:, None, None]


class Block(nn.Module):
    def __init__(self, channels: int, out: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, channels, eps=1e-6)
        self.conv1 = nn.Conv2d(channels, out, 3, padding=1)
        self.norm2 = nn.GroupNorm(groups, out, eps=1e-6)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        if channels != out:
            self.nin_shortcut = nn.Conv2d(channels, out, 1)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        inner = self.conv1(functional.silu(self.norm1(hidden)))
        inner = self.conv2(functional.silu(self.norm2(inner)))
        result: torch.Tensor = inner + (self.nin_shortcut(hidden) if hasattr(self, "nin_shortcut") else hidden)
        return result


class _Attention(nn.Module):
    """Self-attention over all pixels, with one head."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, eps=1e-6)
        self.q = nn.Conv2d(channels, channels, 1)
        self.k = nn.Conv2d(channels, channels, 1)
        self.v = nn.Conv2d(channels, channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        inner = self.norm(hidden)
        q, k, v = (project(inner).flatten(2).transpose(1, 2)[:, None] for project in (self.q, self.k, self.v))
        attended = functional.scaled_dot_product_attention(q, k, v)[:, 0].transpose(1, 2)
        result: torch.Tensor = hidden + self.proj_out(attended.reshape(hidden.shape))
        return result


class _Middle(nn.Module):
    def __init__(self, channels: int, groups: int, *, has_attention: bool) -> None:
        super().__init__()
        self.block_1 = Block(channels, channels, groups)
        self.attn_1 = _Attention(channels, groups) if has_attention else nn.Identity()
        self.block_2 = Block(channels, channels, groups)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.block_2(self.attn_1(self.block_1(hidden)))
        return result


class _Sampler(nn.Module):
    """Halve or double the size. Halving pads only at the right and the bottom."""

    def __init__(self, channels: int, *, down: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2 if down else 1, padding=0 if down else 1)
        self.down = down

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        hidden = functional.pad(hidden, (0, 1, 0, 1)) if self.down else functional.interpolate(hidden, scale_factor=2)
        result: torch.Tensor = self.conv(hidden)
        return result


class _Level(nn.Module):
    """The blocks of one size, and the sampler to the next."""

    def __init__(
        self, channels: int, out: int, *, blocks: int, groups: int, sampler: Literal["downsample", "upsample"] | None
    ) -> None:
        super().__init__()
        self.block = nn.ModuleList(Block(channels if index == 0 else out, out, groups) for index in range(blocks))
        if sampler is not None:
            self.add_module(sampler, _Sampler(out, down=sampler == "downsample"))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        for part in self.children():
            for module in part if isinstance(part, nn.ModuleList) else (part,):
                hidden = module(hidden)
        return hidden


class _Encoder(nn.Module):
    def __init__(self, shape: AutoencoderShape, groups: int) -> None:
        super().__init__()
        first, last = shape.channels[0], shape.channels[-1]
        coming = (first, *shape.channels[:-1])
        self.conv_in = nn.Conv2d(3, first, 3, padding=1)
        self.down = nn.ModuleList(
            _Level(
                channels,
                out,
                blocks=shape.blocks,
                groups=groups,
                sampler="downsample" if index < len(shape.channels) - 1 else None,
            )
            for index, (channels, out) in enumerate(zip(coming, shape.channels, strict=True))
        )
        self.mid = _Middle(last, groups, has_attention=shape.has_attention)
        self.norm_out = nn.GroupNorm(groups, last, eps=1e-6)
        self.conv_out = nn.Conv2d(last, 2 * shape.latent, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        hidden = self.conv_in(image)
        for level in self.down:
            hidden = level(hidden)
        result: torch.Tensor = self.conv_out(functional.silu(self.norm_out(self.mid(hidden))))
        return result


class _Decoder(nn.Module):
    def __init__(self, shape: AutoencoderShape, groups: int) -> None:
        super().__init__()
        outs = shape.decoder_channels or shape.channels
        first, last = outs[0], outs[-1]
        coming = (*outs[1:], last)
        self.conv_in = nn.Conv2d(shape.latent, last, 3, padding=1)
        self.mid = _Middle(last, groups, has_attention=shape.has_attention)
        self.up = nn.ModuleList(
            _Level(channels, out, blocks=shape.blocks + 1, groups=groups, sampler="upsample" if index else None)
            for index, (channels, out) in enumerate(zip(coming, outs, strict=True))
        )
        self.norm_out = nn.GroupNorm(groups, first, eps=1e-6)
        self.conv_out = nn.Conv2d(first, 3, 3, padding=1)

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        hidden = self.mid(self.conv_in(latent))
        for level in reversed(self.up):
            hidden = level(hidden)
        result: torch.Tensor = self.conv_out(functional.silu(self.norm_out(hidden)))
        return result
