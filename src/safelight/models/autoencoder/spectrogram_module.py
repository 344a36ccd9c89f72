"""The autoencoder of LTX-2 for the spectrograms of audio, under the names of its files: like latent diffusion's, but
causal in time and with norms without weights."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

EPSILON = 1e-6


@dataclass(frozen=True)
class SpectrogramShape:
    """``channels``: per level, the finest first. ``blocks``: residual blocks per level of the encoder; the decoder has
    one more. ``sides``: audio channels."""

    sides: int
    latent: int
    channels: tuple[int, ...]
    blocks: int

    @property
    def downscale(self) -> int:
        """Columns, and bands, of the spectrogram per position of the latent."""
        return 1 << (len(self.channels) - 1)


def spectrogram_shape(shapes: Mapping[str, torch.Size]) -> SpectrogramShape:
    """Raises :class:`KeyError` if a weight is missing."""
    levels: dict[int, int] = {}
    blocks = 0
    for name, shape in shapes.items():
        if found := re.fullmatch(r"encoder\.down\.(\d+)\.block\.(\d+)\.conv2\.conv\.weight", name):
            levels[int(found[1])] = shape[0]
            blocks = max(blocks, int(found[2]) + 1)
    return SpectrogramShape(
        sides=shapes["encoder.conv_in.conv.weight"][1],
        latent=shapes["decoder.conv_in.conv.weight"][1],
        channels=tuple(levels[level] for level in sorted(levels)),
        blocks=blocks,
    )


class SpectrogramAutoencoder(nn.Module):
    def __init__(self, shape: SpectrogramShape, *, bands: int) -> None:
        """``bands``: of a latent."""
        super().__init__()
        self.shape = shape
        self.encoder = _Encoder(shape)
        self.decoder = _Decoder(shape)
        self.per_channel_statistics = _Statistics(shape.latent * bands)

    def encode(self, spectrogram: torch.Tensor) -> torch.Tensor:
        """``[B, sides, columns, bands]`` to the mean of the latent, ``[B, C, 1 + (columns - 1) / 4, bands / 4]``."""
        mean = self.encoder(spectrogram)[:, : self.shape.latent]
        return self.per_channel_statistics.normalized(mean)

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """``[B, C, positions, bands]`` to ``[B, sides, 4 * positions - 3, 4 * bands]``."""
        spectrogram: torch.Tensor = self.decoder(self.per_channel_statistics.inverse(latent))
        return spectrogram


class _Statistics(nn.Module):
    """Mean and deviation of each channel and band in the training data."""

    def __init__(self, numbers: int) -> None:
        super().__init__()
        for name in ("std-of-means", "mean-of-means"):
            self.register_buffer(name, torch.empty(numbers))

    def normalized(self, latent: torch.Tensor) -> torch.Tensor:
        return (latent - self._numbers("mean-of-means", latent)) / self._numbers("std-of-means", latent)

    def inverse(self, latent: torch.Tensor) -> torch.Tensor:
        return latent * self._numbers("std-of-means", latent) + self._numbers("mean-of-means", latent)

    def _numbers(self, name: str, latent: torch.Tensor) -> torch.Tensor:
        return self.get_buffer(name).reshape(1, latent.shape[1], 1, latent.shape[3])


class _Convolution(nn.Module):
    """Of columns in time and of bands; sees no later columns."""

    def __init__(self, channels: int, out: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel)
        self.edge = kernel - 1

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        side = self.edge // 2
        result: torch.Tensor = self.conv(functional.pad(hidden, (side, self.edge - side, self.edge, 0)))
        return result


def _pixel_norm(hidden: torch.Tensor) -> torch.Tensor:
    return hidden / (hidden.square().mean(dim=1, keepdim=True) + EPSILON).sqrt()


class _Residual(nn.Module):
    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv1 = _Convolution(channels, out)
        self.conv2 = _Convolution(out, out)
        if channels != out:
            self.nin_shortcut = _Convolution(channels, out, 1)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        inner = self.conv1(functional.silu(_pixel_norm(hidden)))
        inner = self.conv2(functional.silu(_pixel_norm(inner)))
        result: torch.Tensor = inner + (self.nin_shortcut(hidden) if hasattr(self, "nin_shortcut") else hidden)
        return result


class _Down(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.conv(functional.pad(hidden, (0, 1, 2, 0)))
        return result


class _Up(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = _Convolution(channels, channels)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """The first column is dropped: the first position of a latent is one column."""
        result: torch.Tensor = self.conv(functional.interpolate(hidden, scale_factor=2.0))[:, :, 1:]
        return result


class _Middle(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block_1 = _Residual(channels, channels)
        self.block_2 = _Residual(channels, channels)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.block_2(self.block_1(hidden))
        return result


class _Level(nn.Module):
    def __init__(self, channels: int, out: int, blocks: int, **sampler: nn.Module) -> None:
        super().__init__()
        self.block = nn.ModuleList(_Residual(channels if index == 0 else out, out) for index in range(blocks))
        for name, module in sampler.items():
            self.add_module(name, module)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        for part in self.children():
            for module in part if isinstance(part, nn.ModuleList) else (part,):
                hidden = module(hidden)
        return hidden


class _Encoder(nn.Module):
    def __init__(self, shape: SpectrogramShape) -> None:
        super().__init__()
        outs = shape.channels
        last = len(outs) - 1
        self.conv_in = _Convolution(shape.sides, outs[0])
        self.down = nn.ModuleList(
            _Level(outs[max(i - 1, 0)], out, shape.blocks, **({} if i == last else {"downsample": _Down(out)}))
            for i, out in enumerate(outs)
        )
        self.mid = _Middle(outs[-1])
        self.conv_out = _Convolution(outs[-1], 2 * shape.latent)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        hidden = self.conv_in(hidden)
        for level in self.down:
            hidden = level(hidden)
        result: torch.Tensor = self.conv_out(functional.silu(_pixel_norm(self.mid(hidden))))
        return result


class _Decoder(nn.Module):
    def __init__(self, shape: SpectrogramShape) -> None:
        super().__init__()
        outs = shape.channels
        self.conv_in = _Convolution(shape.latent, outs[-1])
        self.mid = _Middle(outs[-1])
        self.up = nn.ModuleList(
            _Level(coming, out, shape.blocks + 1, **({"upsample": _Up(out)} if index else {}))
            for index, (coming, out) in enumerate(zip((*outs[1:], outs[-1]), outs, strict=True))
        )
        self.conv_out = _Convolution(outs[0], shape.sides)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        hidden = self.mid(self.conv_in(hidden))
        for level in reversed(self.up):
            hidden = level(hidden)
        result: torch.Tensor = self.conv_out(functional.silu(_pixel_norm(hidden)))
        return result
