"""The causal autoencoder of Wan 2.2's small model (Wan Team 2025), under the names of its files: that of Wan 2.1 with
shortcuts around the blocks of each size, on squares of 2 x 2 pixels."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from safelight.models.autoencoder.wan_module import (
    FRAMES,
    CausalConv3d,
    Down,
    Part,
    Residual,
    Seen,
    Up,
    head,
    middle,
    parts_of,
    through,
)
from safelight.models.language.architecture import layer_count

SQUARE = 2
"""Pixels per side that become one position."""

Stage = tuple[Part, ...]
"""The blocks of one size, and at the end the one that changes it."""


@dataclass(frozen=True)
class Wan22Shape:
    """The autoencoder as its weights show it. ``image``: channels of pictures."""

    latent: int
    image: int
    width: int
    inner: int
    encoder: tuple[Stage, ...]
    decoder: tuple[Stage, ...]
    out_width: int

    @property
    def downscale(self) -> int:
        return SQUARE << sum(stage[-1].resamples for stage in self.encoder)

    def build(self) -> "Wan22Autoencoder":
        return Wan22Autoencoder(self)


def wan22_shape(shapes: Mapping[str, torch.Size]) -> Wan22Shape:
    """Raises :class:`KeyError` if a weight is missing."""

    def stages(side: str, kind: str) -> tuple[Stage, ...]:
        count = layer_count(shapes, f"{side}.{kind}")
        return tuple(parts_of(shapes, f"{side}.{kind}.{number}.{kind}") for number in range(count))

    return Wan22Shape(
        latent=shapes["conv2.weight"][0],
        image=shapes["encoder.conv1.weight"][1] // SQUARE**2,
        width=shapes["encoder.conv1.weight"][0],
        inner=shapes["decoder.conv1.weight"][0],
        encoder=stages("encoder", "downsamples"),
        decoder=stages("decoder", "upsamples"),
        out_width=shapes["decoder.head.0.gamma"][0],
    )


class Wan22Autoencoder(nn.Module):
    """Has the methods of :class:`safelight.models.autoencoder.wan_module.WanAutoencoder`."""

    def __init__(self, shape: Wan22Shape) -> None:
        super().__init__()
        self.encoder = _Encoder(shape)
        self.conv1 = CausalConv3d(2 * shape.latent, 2 * shape.latent, (1, 1, 1))
        self.conv2 = CausalConv3d(shape.latent, shape.latent, (1, 1, 1))
        self.decoder = _Decoder(shape)

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        seen: Seen = {}
        squares = _in_squares(frames)
        count = 1 + (frames.shape[2] - 1) // FRAMES
        pieces = [squares[:, :, :1]]
        pieces += [squares[:, :, 1 + FRAMES * (n - 1) : 1 + FRAMES * n] for n in range(1, count)]
        moments = self.conv1(torch.cat([self.encoder(piece, seen) for piece in pieces], dim=2), {})
        mean: torch.Tensor = moments.chunk(2, dim=1)[0]
        return mean

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        return torch.cat(list(self.windows(latent)), dim=2)

    def windows(self, latent: torch.Tensor) -> Iterator[torch.Tensor]:
        seen: Seen = {}
        for piece in torch.split(latent, 1, dim=2):
            yield self.decode_next(piece, seen)

    def window_count(self, latent_frames: int) -> int:
        return latent_frames

    def decode_next(self, piece: torch.Tensor, seen: Seen) -> torch.Tensor:
        return _from_squares(self.decoder(self.conv2(piece, {}), seen))


class _Encoder(nn.Module):
    def __init__(self, shape: Wan22Shape) -> None:
        super().__init__()
        self.conv1 = CausalConv3d(shape.image * SQUARE**2, shape.width, (3, 3, 3))
        self.downsamples = nn.ModuleList(_DownStage(stage) for stage in shape.encoder)
        inner = shape.encoder[-1][-1].out
        self.middle = middle(inner)
        self.head = head(inner, 2 * shape.latent)

    def forward(self, x: torch.Tensor, seen: Seen) -> torch.Tensor:
        x = self.conv1(x, seen)
        for stage in self.downsamples:
            x = stage(x, seen)
        return through(self.head, through(self.middle, x, seen), seen)


class _Decoder(nn.Module):
    def __init__(self, shape: Wan22Shape) -> None:
        super().__init__()
        self.conv1 = CausalConv3d(shape.latent, shape.inner, (3, 3, 3))
        self.middle = middle(shape.inner)
        self.upsamples = nn.ModuleList(_UpStage(stage) for stage in shape.decoder)
        self.head = head(shape.out_width, shape.image * SQUARE**2)

    def forward(self, x: torch.Tensor, seen: Seen) -> torch.Tensor:
        is_first = self.conv1 not in seen
        x = through(self.middle, self.conv1(x, seen), seen)
        for stage in self.upsamples:
            x = stage(x, seen, is_first)
        return through(self.head, x, seen)


class _DownStage(nn.Module):
    """Its input goes around the blocks as means over the positions (and channels) that become one."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.downsamples = nn.ModuleList(
            Down(part) if part.resamples else Residual(part.channels, part.out) for part in stage
        )
        self.out = stage[-1].out
        self.side = 2 if stage[-1].resamples else 1
        self.times = 2 if stage[-1].in_time else 1

    def forward(self, x: torch.Tensor, seen: Seen) -> torch.Tensor:
        return through(self.downsamples, x, seen) + self._means(x)

    def _means(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.pad(x, (0, 0, 0, 0, -x.shape[2] % self.times, 0))
        batch, channels, frames, height, width = x.shape
        times, side = self.times, self.side
        boxes = x.reshape(batch, channels, frames // times, times, height // side, side, width // side, side)
        boxes = boxes.permute(0, 1, 3, 5, 7, 2, 4, 6)
        return boxes.reshape(batch, self.out, -1, frames // times, height // side, width // side).mean(dim=2)


class _UpStage(nn.Module):
    """Its input goes around the blocks as copies for the positions that one becomes."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.upsamples = nn.ModuleList(
            Up(part) if part.resamples else Residual(part.channels, part.out) for part in stage
        )
        self.resamples = stage[-1].resamples
        self.out = stage[-1].out
        self.times = 2 if stage[-1].in_time else 1

    def forward(self, x: torch.Tensor, seen: Seen, is_first: bool) -> torch.Tensor:
        made = through(self.upsamples, x, seen)
        return made + self._copies(x, is_first) if self.resamples else made

    def _copies(self, x: torch.Tensor, is_first: bool) -> torch.Tensor:
        batch, channels, frames, height, width = x.shape
        times = self.times
        x = x.repeat_interleave(self.out * times * 4 // channels, dim=1)
        boxes = x.reshape(batch, self.out, times, 2, 2, frames, height, width).permute(0, 1, 5, 2, 6, 3, 7, 4)
        copies = boxes.reshape(batch, self.out, frames * times, height * 2, width * 2)
        return copies[:, :, times - 1 :] if is_first else copies


def _in_squares(frames: torch.Tensor) -> torch.Tensor:
    """Squares of pixels as channels, column by column."""
    batch, channels, count, height, width = frames.shape
    squares = frames.reshape(batch, channels, count, height // SQUARE, SQUARE, width // SQUARE, SQUARE)
    return squares.permute(0, 1, 6, 4, 2, 3, 5).reshape(batch, -1, count, height // SQUARE, width // SQUARE)


def _from_squares(squares: torch.Tensor) -> torch.Tensor:
    batch, _, count, height, width = squares.shape
    pixels = squares.reshape(batch, -1, SQUARE, SQUARE, count, height, width).permute(0, 1, 4, 5, 3, 6, 2)
    return pixels.reshape(batch, -1, count, height * SQUARE, width * SQUARE)
