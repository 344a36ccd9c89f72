"""The causal autoencoder of HunyuanVideo 1.5 (Tencent 2025), under the names of its files.

Frames go through its levels in pieces, and convolutions in time keep the last two frames of their input for the next
piece; before the first frame they see copies of it. Its middle, which attends over all frames, works on the whole
latent. The first latent frame is one frame, each later one is four.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from safelight.models.autoencoder.wan_module import FRAMES, KEPT, Seen
from safelight.models.weights import count_blocks

PIECE = 2
"""Latent frames that are decoded together."""


@dataclass(frozen=True)
class Level:
    """``blocks`` of residual blocks with ``channels``, after ``before``; then a change of size to ``next`` channels,
    if there is one (0: none), ``in_time`` or in space alone."""

    before: int
    channels: int
    blocks: int
    next: int = 0
    in_time: bool = False


@dataclass(frozen=True)
class HunyuanVideoAutoencoderShape:
    """The autoencoder as its weights show it."""

    latent: int
    image: int
    encoder: tuple[Level, ...]
    decoder: tuple[Level, ...]

    @property
    def downscale(self) -> int:
        return 1 << sum(level.next > 0 for level in self.encoder)

    def build(self) -> "HunyuanVideoAutoencoder":
        return HunyuanVideoAutoencoder(self)


def hunyuan_video_autoencoder_shape(shapes: Mapping[str, torch.Size]) -> HunyuanVideoAutoencoderShape:
    """Raises :class:`KeyError` if a weight is missing."""
    return HunyuanVideoAutoencoderShape(
        latent=shapes["decoder.conv_in.conv.weight"][1],
        image=shapes["encoder.conv_in.conv.weight"][1],
        encoder=_levels(shapes, "encoder.down", "downsample"),
        decoder=_levels(shapes, "decoder.up", "upsample"),
    )


def _levels(shapes: Mapping[str, torch.Size], prefix: str, change: str) -> tuple[Level, ...]:
    made = []
    for number in range(count_blocks(shapes, prefix)):
        level = f"{prefix}.{number}"
        channels, before = shapes[f"{level}.block.0.conv1.conv.weight"][:2]
        blocks = count_blocks(shapes, f"{level}.block")
        if f"{level}.{change}.conv.conv.weight" not in shapes:
            made.append(Level(before, channels, blocks))
            continue
        rows = shapes[f"{level}.{change}.conv.conv.weight"][0]
        following = shapes[f"{prefix}.{number + 1}.block.0.conv1.conv.weight"][1]
        boxes = following // rows if change == "downsample" else rows // following
        made.append(Level(before, channels, blocks, following, in_time=boxes == 8))
    return tuple(made)


class HunyuanVideoAutoencoder(nn.Module):
    def __init__(self, shape: HunyuanVideoAutoencoderShape) -> None:
        super().__init__()
        self.encoder = _Encoder(shape)
        self.decoder = _Decoder(shape)

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        """``[B, C, frames, H, W]`` in -1..1 to the mean of the latent, ``[B, C', 1 + (frames - 1) // 4, h, w]``."""
        mean: torch.Tensor = self.encoder(frames).chunk(2, dim=1)[0]
        return mean

    def windows(self, latent: torch.Tensor) -> Iterator[torch.Tensor]:
        """The frames of ``latent``, about -1..1, in pieces ``[B, C, n, H, W]``."""
        return self.decoder.windows(latent)

    def window_count(self, latent_frames: int) -> int:
        return -(-latent_frames // PIECE)


class _Convolution(nn.Module):
    """Of 3 x 3 x 3, or of single positions; padding repeats the border."""

    def __init__(self, channels: int, out: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv3d(channels, out, kernel)

    def forward(self, x: torch.Tensor, seen: Seen) -> torch.Tensor:
        if self.conv.kernel_size[0] > 1:
            before = seen.get(self)
            x = functional.pad(x, (1, 1, 1, 1, KEPT if before is None else 0, 0), mode="replicate")
            if before is not None:
                x = torch.cat((before, x), dim=2)
            seen[self] = x[:, :, -KEPT:].clone()
        made: torch.Tensor = self.conv(x)
        return made


class _Norm(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.empty(channels, 1, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = functional.normalize(x, dim=1) * len(self.gamma) ** 0.5 * self.gamma
        return result


class _Residual(nn.Module):
    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = _Norm(channels), _Norm(out)
        self.conv1, self.conv2 = _Convolution(channels, out), _Convolution(out, out)
        if channels != out:
            self.nin_shortcut = _Convolution(channels, out, 1)

    def forward(self, x: torch.Tensor, seen: Seen) -> torch.Tensor:
        made = self.conv1(functional.silu(self.norm1(x)), seen)
        made = self.conv2(functional.silu(self.norm2(made)), seen)
        result: torch.Tensor = made + (self.nin_shortcut(x, seen) if hasattr(self, "nin_shortcut") else x)
        return result


class _Attention(nn.Module):
    """With one head, over the pixels of all frames."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = _Norm(channels)
        self.q, self.k, self.v, self.proj_out = (nn.Conv3d(channels, channels, 1) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.norm(x)
        q, k, v = (part(inner).flatten(2).transpose(1, 2)[:, None] for part in (self.q, self.k, self.v))
        attended = functional.scaled_dot_product_attention(q, k, v)[:, 0].transpose(1, 2).reshape(x.shape)
        result: torch.Tensor = x + self.proj_out(attended)
        return result


class _Middle(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block_1, self.block_2 = _Residual(channels, channels), _Residual(channels, channels)
        self.attn_1 = _Attention(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.block_2(self.attn_1(self.block_1(x, {})), {})
        return result


class _Down(nn.Module):
    """Positions that become one are its channels, and their means go around the convolution. In time, the first
    frame of a video stays one."""

    def __init__(self, level: Level) -> None:
        super().__init__()
        self.times = 2 if level.in_time else 1
        self.out = level.next
        self.conv = _Convolution(level.channels, level.next // (4 * self.times))

    def forward(self, x: torch.Tensor, seen: Seen) -> torch.Tensor:
        is_first = self.conv not in seen
        made = self.conv(x, seen)
        if self.times == 1 or not is_first:
            return self._joined(made, x, self.times)
        parts = [torch.cat([_boxes(made[:, :, :1], 1)] * 2, dim=1) + self._means(_boxes(x[:, :, :1], 1))]
        if x.shape[2] > 1:
            parts.append(self._joined(made[:, :, 1:], x[:, :, 1:], self.times))
        return torch.cat(parts, dim=2)

    def _joined(self, made: torch.Tensor, x: torch.Tensor, times: int) -> torch.Tensor:
        return _boxes(made, times) + self._means(_boxes(x, times))

    def _means(self, boxes: torch.Tensor) -> torch.Tensor:
        return boxes.unflatten(1, (self.out, -1)).mean(dim=2)  # type: ignore[no-untyped-call, no-any-return]


class _Up(nn.Module):
    """The inverse of :class:`_Down`: channels become positions, and copies of the input go around the convolution."""

    def __init__(self, level: Level) -> None:
        super().__init__()
        self.times = 2 if level.in_time else 1
        boxes = 4 * self.times
        self.copies = boxes * level.next // level.channels
        self.conv = _Convolution(level.channels, level.next * boxes)

    def forward(self, x: torch.Tensor, seen: Seen) -> torch.Tensor:
        is_first = self.conv not in seen
        made = self.conv(x, seen)
        if self.times == 1 or not is_first:
            return self._joined(made, x)
        opened = _opened(made[:, :, :1], 1)
        first = opened[:, : opened.shape[1] // 2] + _opened(x[:, :, :1].repeat_interleave(self.copies // 2, dim=1), 1)
        if x.shape[2] == 1:
            return first
        return torch.cat((first, self._joined(made[:, :, 1:], x[:, :, 1:])), dim=2)

    def _joined(self, made: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return _opened(made, self.times) + _opened(x.repeat_interleave(self.copies, dim=1), self.times)


class _Level(nn.Module):
    def __init__(self, level: Level, change: str) -> None:
        super().__init__()
        self.block = nn.ModuleList(
            _Residual(level.before if number == 0 else level.channels, level.channels) for number in range(level.blocks)
        )
        self.change = change if level.next else ""
        if level.next:
            self.add_module(change, _Down(level) if change == "downsample" else _Up(level))

    def forward(self, x: torch.Tensor, seen: Seen) -> torch.Tensor:
        for block in self.block:
            x = block(x, seen)
        return self.get_submodule(self.change)(x, seen) if self.change else x


class _Encoder(nn.Module):
    def __init__(self, shape: HunyuanVideoAutoencoderShape) -> None:
        super().__init__()
        last = shape.encoder[-1].channels
        self.conv_in = _Convolution(shape.image, shape.encoder[0].before)
        self.down = nn.ModuleList(_Level(level, "downsample") for level in shape.encoder)
        self.mid = _Middle(last)
        self.norm_out = _Norm(last)
        self.conv_out = _Convolution(last, 2 * shape.latent)
        self.out = 2 * shape.latent

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        seen: Seen = {}
        pieces = [frames[:, :, :1]]
        if frames.shape[2] > FRAMES:
            whole = (frames.shape[2] - 1) // FRAMES * FRAMES
            pieces += torch.split(frames[:, :, 1 : 1 + whole], PIECE * FRAMES, dim=2)
        made = []
        for piece in pieces:
            x = self.conv_in(piece, seen)
            for level in self.down:
                x = level(x, seen)
            made.append(x)
        x = self.mid(torch.cat(made, dim=2))
        means = x.reshape(len(x), self.out, -1, *x.shape[2:]).mean(dim=2)
        result: torch.Tensor = self.conv_out(functional.silu(self.norm_out(x)), {}) + means
        return result


class _Decoder(nn.Module):
    def __init__(self, shape: HunyuanVideoAutoencoderShape) -> None:
        super().__init__()
        first, last = shape.decoder[0].before, shape.decoder[-1].channels
        self.conv_in = _Convolution(shape.latent, first)
        self.mid = _Middle(first)
        self.up = nn.ModuleList(_Level(level, "upsample") for level in shape.decoder)
        self.norm_out = _Norm(last)
        self.conv_out = _Convolution(last, shape.image)
        self.copies = first // shape.latent

    def windows(self, latent: torch.Tensor) -> Iterator[torch.Tensor]:
        x = self.mid(self.conv_in(latent, {}) + latent.repeat_interleave(self.copies, dim=1))
        seen: Seen = {}
        for piece in torch.split(x, PIECE, dim=2):
            for level in self.up:
                piece = level(piece, seen)
            yield self.conv_out(functional.silu(self.norm_out(piece)), seen)


def _boxes(x: torch.Tensor, times: int) -> torch.Tensor:
    """Boxes of ``times`` frames and 2 x 2 pixels as channels."""
    batch, channels, frames, height, width = x.shape
    boxes = x.reshape(batch, channels, frames // times, times, height // 2, 2, width // 2, 2)
    return boxes.permute(0, 3, 5, 7, 1, 2, 4, 6).reshape(batch, -1, frames // times, height // 2, width // 2)


def _opened(x: torch.Tensor, times: int) -> torch.Tensor:
    """The inverse of :func:`_boxes`."""
    batch, _, frames, height, width = x.shape
    boxes = x.reshape(batch, times, 2, 2, -1, frames, height, width).permute(0, 4, 5, 1, 6, 2, 7, 3)
    return boxes.reshape(batch, -1, frames * times, height * 2, width * 2)
