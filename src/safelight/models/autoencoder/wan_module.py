"""The causal autoencoder of Wan 2.1 (Wan Team 2025) and of Qwen-Image, under the names of their files.

Frames go through it in pieces, the first frame alone and then four at a time (one latent frame at a time on the way
back), so that the memory does not grow with the length. A convolution in time sees only earlier frames: it keeps the
last two of its input for the next piece. The first latent frame is one frame, each later one is four.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

FRAMES = 4
"""Frames per latent frame, after the first."""
KEPT = 2
"""Frames of its input that a convolution needs of the previous piece."""

Seen = dict[nn.Module, torch.Tensor]
"""What each convolution in time has kept of the previous piece."""


@dataclass(frozen=True)
class Part:
    """A block of the encoder or decoder: ``out`` channels from ``channels``. ``resamples``: it halves or doubles the
    sides; ``in_time``: and the number of frames."""

    channels: int
    out: int
    resamples: bool = False
    in_time: bool = False


@dataclass(frozen=True)
class WanShape:
    """The autoencoder as its weights show it. ``image``: channels of pictures: 3, or 4 with transparency."""

    latent: int
    image: int
    width: int
    inner: int
    encoder: tuple[Part, ...]
    decoder: tuple[Part, ...]
    out_width: int

    @property
    def downscale(self) -> int:
        return 1 << sum(part.resamples for part in self.encoder)

    def build(self) -> "WanAutoencoder":
        return WanAutoencoder(self)


def wan_shape(shapes: Mapping[str, torch.Size]) -> WanShape:
    """Raises :class:`KeyError` if a weight is missing."""
    return WanShape(
        latent=shapes["conv2.weight"][0],
        image=shapes["encoder.conv1.weight"][1],
        width=shapes["encoder.conv1.weight"][0],
        inner=shapes["decoder.conv1.weight"][0],
        encoder=parts_of(shapes, "encoder.downsamples"),
        decoder=parts_of(shapes, "decoder.upsamples"),
        out_width=shapes["decoder.head.0.gamma"][0],
    )


def parts_of(shapes: Mapping[str, torch.Size], prefix: str) -> tuple[Part, ...]:
    """The blocks ``<prefix>.<number>.``."""
    numbered = re.compile(re.escape(prefix) + r"\.(\d+)\.")
    count = 1 + max((int(found[1]) for name in shapes if (found := numbered.match(name))), default=-1)
    made = []
    for number in range(count):
        part = f"{prefix}.{number}"
        if f"{part}.resample.1.weight" in shapes:
            out, channels = shapes[f"{part}.resample.1.weight"][:2]
            made.append(Part(channels, out, resamples=True, in_time=f"{part}.time_conv.weight" in shapes))
        else:
            out, channels = shapes[f"{part}.residual.2.weight"][:2]
            made.append(Part(channels, out))
    return tuple(made)


class WanAutoencoder(nn.Module):
    def __init__(self, shape: WanShape) -> None:
        super().__init__()
        self.encoder = _Encoder(shape)
        self.conv1 = CausalConv3d(2 * shape.latent, 2 * shape.latent, (1, 1, 1))
        self.conv2 = CausalConv3d(shape.latent, shape.latent, (1, 1, 1))
        self.decoder = _Decoder(shape)

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        """``[B, C, frames, H, W]`` in -1..1 to the mean of the latent, ``[B, C', 1 + (frames - 1) // 4, h, w]``. Frames
        that do not fill the last latent frame are dropped."""
        seen: Seen = {}
        count = 1 + (frames.shape[2] - 1) // FRAMES
        pieces = [frames[:, :, :1]]
        pieces += [frames[:, :, 1 + FRAMES * (n - 1) : 1 + FRAMES * n] for n in range(1, count)]
        moments = self.conv1(torch.cat([self.encoder(piece, seen) for piece in pieces], dim=2), {})
        mean: torch.Tensor = moments.chunk(2, dim=1)[0]
        return mean

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """``[B, C', frames, h, w]`` to ``[B, C, 1 + 4 * (frames - 1), H, W]``, about -1..1."""
        return torch.cat(list(self.windows(latent)), dim=2)

    def windows(self, latent: torch.Tensor) -> Iterator[torch.Tensor]:
        """The frames of ``latent [B, C', frames, h, w]``, about -1..1, in pieces ``[B, C, n, H, W]``: one for the first
        latent frame, then four."""
        seen: Seen = {}
        for piece in torch.split(latent, 1, dim=2):
            yield self.decode_next(piece, seen)

    def window_count(self, latent_frames: int) -> int:
        return latent_frames

    def decode_next(self, piece: torch.Tensor, seen: Seen) -> torch.Tensor:
        """The frames of the next latent frame, after those that ``seen`` has kept: one for the first, then four."""
        frames: torch.Tensor = self.decoder(self.conv2(piece, {}), seen)
        return frames


class CausalConv3d(nn.Conv3d):
    """A convolution whose padding in time is all before the first frame."""

    def __init__(self, channels: int, out: int, kernel: tuple[int, int, int], *, stride: int = 1) -> None:
        super().__init__(channels, out, kernel, stride=(stride, 1, 1), padding=(0, kernel[1] // 2, kernel[2] // 2))

    def forward(self, frames: torch.Tensor, seen: Seen) -> torch.Tensor:  # type: ignore[override]
        needed = self.kernel_size[0] - 1
        if not needed:
            return super().forward(frames)
        before = seen.get(self)
        if before is None and frames.shape[2] == 1:
            seen[self] = frames
            return self._of_one(frames)
        joined = frames if before is None else torch.cat((before, frames), dim=2)
        seen[self] = joined[:, :, -KEPT:]
        return super().forward(functional.pad(joined, (0, 0, 0, 0, needed + frames.shape[2] - joined.shape[2], 0)))

    def _of_one(self, frames: torch.Tensor) -> torch.Tensor:
        """The first frame alone: those before it are zero, so that one slice of the kernel is enough."""
        padding = (int(self.padding[1]), int(self.padding[2]))
        return functional.conv2d(frames[:, :, 0], self.weight[:, :, -1], self.bias, padding=padding)[:, :, None]


class _Norm(nn.Module):
    """Each pixel's channels are divided by their length."""

    def __init__(self, channels: int, dimensions: int = 3) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.empty(channels, *[1] * dimensions))
        self.scale = channels**0.5

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = functional.normalize(x, dim=1) * self.scale * self.gamma
        return result


class Residual(nn.Module):
    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.residual = nn.ModuleList(
            [
                _Norm(channels),
                nn.SiLU(),
                CausalConv3d(channels, out, (3, 3, 3)),
                _Norm(out),
                nn.SiLU(),
                nn.Identity(),
                CausalConv3d(out, out, (3, 3, 3)),
            ]
        )
        self.shortcut = CausalConv3d(channels, out, (1, 1, 1)) if channels != out else None

    def forward(self, x: torch.Tensor, seen: Seen) -> torch.Tensor:
        return through(self.residual, x, seen) + (x if self.shortcut is None else self.shortcut(x, seen))


class _Attention(nn.Module):
    """With one head, within each frame."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = _Norm(channels, 2)
        self.to_qkv = nn.Conv2d(channels, channels * 3, 1)
        self.proj = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        planes = _as_planes(x)
        q, k, v = (part.flatten(2).transpose(1, 2)[:, None] for part in self.to_qkv(self.norm(planes)).chunk(3, dim=1))
        attended = functional.scaled_dot_product_attention(q, k, v)[:, 0].transpose(1, 2).reshape(planes.shape)
        return x + _as_frames(self.proj(attended), x.shape[0])


class Down(nn.Module):
    """Halves the sides, and with ``in_time`` the frames of all pieces but the first."""

    def __init__(self, part: Part) -> None:
        super().__init__()
        self.resample = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(part.channels, part.out, 3, stride=2))
        self.time_conv = nn.Conv3d(part.out, part.out, (3, 1, 1), stride=(2, 1, 1)) if part.in_time else None

    def forward(self, x: torch.Tensor, seen: Seen) -> torch.Tensor:
        x = _as_frames(self.resample(_as_planes(x)), x.shape[0])
        before = seen.get(self)
        if self.time_conv is not None:
            seen[self] = x[:, :, -1:]
            if before is not None:
                x = self.time_conv(torch.cat((before, x), dim=2))
        return x


class Up(nn.Module):
    """Doubles the sides, and with ``in_time`` the frames of all pieces but the first."""

    def __init__(self, part: Part) -> None:
        super().__init__()
        conv = nn.Conv2d(part.channels, part.out, 3, padding=1)
        self.resample = nn.Sequential(nn.Upsample(scale_factor=2.0, mode="nearest-exact"), conv)
        self.time_conv = CausalConv3d(part.channels, 2 * part.channels, (3, 1, 1)) if part.in_time else None

    def forward(self, x: torch.Tensor, seen: Seen) -> torch.Tensor:
        if self.time_conv is not None:
            if self in seen:
                pairs = self.time_conv(x, seen).unflatten(1, (2, -1))
                x = torch.stack((pairs[:, 0], pairs[:, 1]), dim=3).flatten(2, 3)
            else:  # the first frame stays one, and counts as black for the convolution
                seen[self] = x
                seen[self.time_conv] = torch.zeros_like(x).expand(-1, -1, KEPT, -1, -1)
        return _as_frames(self.resample(_as_planes(x)), x.shape[0])


def middle(channels: int) -> nn.ModuleList:
    return nn.ModuleList([Residual(channels, channels), _Attention(channels), Residual(channels, channels)])


def head(channels: int, out: int) -> nn.ModuleList:
    return nn.ModuleList([_Norm(channels), nn.SiLU(), CausalConv3d(channels, out, (3, 3, 3))])


class _Encoder(nn.Module):
    def __init__(self, shape: WanShape) -> None:
        super().__init__()
        self.conv1 = CausalConv3d(shape.image, shape.width, (3, 3, 3))
        self.downsamples = nn.ModuleList(
            Down(part) if part.resamples else Residual(part.channels, part.out) for part in shape.encoder
        )
        inner = shape.encoder[-1].out
        self.middle = middle(inner)
        self.head = head(inner, 2 * shape.latent)

    def forward(self, x: torch.Tensor, seen: Seen) -> torch.Tensor:
        x = self.conv1(x, seen)
        for layers in (self.downsamples, self.middle, self.head):
            x = through(layers, x, seen)
        return x


class _Decoder(nn.Module):
    def __init__(self, shape: WanShape) -> None:
        super().__init__()
        self.conv1 = CausalConv3d(shape.latent, shape.inner, (3, 3, 3))
        self.middle = middle(shape.inner)
        self.upsamples = nn.ModuleList(
            Up(part) if part.resamples else Residual(part.channels, part.out) for part in shape.decoder
        )
        self.head = head(shape.out_width, shape.image)

    def forward(self, x: torch.Tensor, seen: Seen) -> torch.Tensor:
        x = self.conv1(x, seen)
        for layers in (self.middle, self.upsamples, self.head):
            x = through(layers, x, seen)
        return x


def through(layers: nn.ModuleList, x: torch.Tensor, seen: Seen) -> torch.Tensor:
    for layer in layers:
        x = layer(x, seen) if isinstance(layer, CausalConv3d | Residual | Down | Up) else layer(x)
    return x


def _as_planes(frames: torch.Tensor) -> torch.Tensor:
    """``[B, C, frames, H, W]`` to ``[B * frames, C, H, W]``."""
    return frames.transpose(1, 2).flatten(0, 1)


def _as_frames(planes: torch.Tensor, batch: int) -> torch.Tensor:
    return planes.reshape(batch, -1, *planes.shape[1:]).transpose(1, 2)
