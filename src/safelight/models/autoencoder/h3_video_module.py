"""The autoencoder of MiniMax H3's films, under the names of diffusers, whose class is the reference: a causal
convolutional encoder and a transformer as decoder.

Frames are encoded 17 at a time, to 5 latent frames, and the last 3 of a film are dropped. A clip is decoded with the
first 2 latent frames of the next, and the 5 frames that both make are cross-faded. Large pictures are encoded and
decoded in tiles that overlap; the model was released with tiles of 256 pixels, so that its pictures are those of the
tiles.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from safelight.models.language.architecture import layer_count
from safelight.models.language.rotary import rotated
from safelight.models.operations import Linear

MARK = "decoder.register_tokens"
CLIP = 17
DROPPED = 3
"""Latent frames at the end that are not kept."""
GROUPS = 32
HEAD = 64
TURNED = 48
"""Features of a head that are rotated."""
THETA = 100.0
IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_DEVIATION = (0.229, 0.224, 0.225)
TILE, OVERLAP = 256, 64
"""Pixels."""
_CONV_EPSILON = 1e-6
_EPSILON = 1e-5
SPACE, TIME = 16, 4
"""Pixels per side, and frames, of a latent pixel."""


@dataclass(frozen=True)
class Level:
    """``space``, ``time``: how much it shrinks sides and frames."""

    channels: int
    out: int
    blocks: int
    space: int
    time: int


@dataclass(frozen=True)
class H3VideoShape:
    """The autoencoder as its weights show it. ``has_statistics``: whether the file has the mean and the deviation of
    latents, by which they are normalised."""

    latent: int
    levels: tuple[Level, ...]
    width: int
    layers: int
    feed_forward: int
    registers: int
    has_statistics: bool = False

    @property
    def downscale(self) -> int:
        return SPACE

    def build(self) -> "H3VideoAutoencoder":
        return H3VideoAutoencoder(self)


def h3_video_shape(shapes: Mapping[str, torch.Size]) -> H3VideoShape:
    """Raises :class:`KeyError` if a weight is missing."""
    levels = []
    for number in range(layer_count(shapes, "encoder.down_blocks")):
        level = f"encoder.down_blocks.{number}"
        out, channels = shapes[f"{level}.resnets.0.conv1.weight"][:2]
        shrinks = f"{level}.downsamplers.0.conv.weight" in shapes
        time = 2 if shrinks and 0 < number < 3 else 1
        levels.append(Level(channels, out, layer_count(shapes, f"{level}.resnets"), 2 if shrinks else 1, time))
    width, latent = shapes["decoder.proj_in.weight"]
    return H3VideoShape(
        latent=latent,
        levels=tuple(levels),
        width=width,
        layers=layer_count(shapes, "decoder.transformer_blocks"),
        feed_forward=shapes["decoder.transformer_blocks.0.ff.net.2.weight"][1],
        registers=shapes[MARK][1],
        has_statistics="latents_mean" in shapes,
    )


def frame_count(latents: int) -> int:
    """How many frames so many latent frames are decoded to."""
    lead, size = -CLIP % TIME, -(-CLIP // TIME)
    if latents + DROPPED <= size:
        return latents * TIME - lead
    missing = -(latents + DROPPED) % size
    clips = (latents + DROPPED + missing) // size - 1
    tail = sum(CLIP % TIME if (latents + n) % size == 0 else TIME for n in range(missing))
    return clips * CLIP + (-DROPPED % size) * TIME - lead - tail


class H3VideoAutoencoder(nn.Module):
    def __init__(self, shape: H3VideoShape) -> None:
        super().__init__()
        self.shape = shape
        self.encoder = _Encoder(shape)
        self.quant_conv = nn.Conv3d(2 * shape.latent, 2 * shape.latent, 1)
        self.post_quant_conv = nn.Conv3d(shape.latent, shape.latent, 1)
        self.decoder = _Decoder(shape)
        if shape.has_statistics:
            self.latents_mean = nn.Parameter(torch.empty(shape.latent))
            self.latents_std = nn.Parameter(torch.empty(shape.latent))

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        """``[B, 3, frames, H, W]`` in 0..1 to the normalised mean of the latent: 1 frame to 1, 17 n + 5 to 5 n + 2.
        Other lengths are filled up with the last frame."""
        mean, deviation = _of_channels(IMAGE_MEAN, frames), _of_channels(IMAGE_DEVIATION, frames)
        frames = (frames - mean) / deviation
        if frames.shape[2] == 1:
            made = self._clip_moments(frames)
        else:
            last = frames[:, :, -1:].expand(-1, -1, -frames.shape[2] % CLIP, -1, -1)
            clips = torch.split(torch.cat((frames, last), dim=2), CLIP, dim=2)
            made = torch.cat([self._clip_moments(clip) for clip in clips], dim=2)[:, :, :-DROPPED]
        latent: torch.Tensor = made.chunk(2, dim=1)[0]
        if self.shape.has_statistics:
            latent = (latent - self._statistic(self.latents_mean)) / self._statistic(self.latents_std)
        return latent

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """The inverse of :meth:`encode`, about 0..1."""
        return torch.cat(list(self.pieces(latent)), dim=2)

    def pieces(self, latent: torch.Tensor) -> Iterator[torch.Tensor]:
        """What :meth:`decode` returns, a clip at a time."""
        if self.shape.has_statistics:
            latent = latent * self._statistic(self.latents_std) + self._statistic(self.latents_mean)
        for made in self._decoded(latent):
            yield made * _of_channels(IMAGE_DEVIATION, made) + _of_channels(IMAGE_MEAN, made)

    def _decoded(self, latent: torch.Tensor) -> Iterator[torch.Tensor]:
        lead = -CLIP % TIME
        size = -(-CLIP // TIME)
        if latent.shape[2] + DROPPED <= size:  # less than a clip: a picture, or 5 frames
            yield self._clip_frames(latent)[:, :, lead:]
            return
        missing = -(latent.shape[2] + DROPPED) % size
        count = latent.shape[2] + DROPPED + missing
        latent = torch.cat((latent, latent[:, :, -1:].expand(-1, -1, missing, -1, -1)), dim=2)
        shared = -DROPPED % size
        kept = latent.shape[2] - missing
        tail = sum(CLIP % TIME if (kept + n) % size == 0 else TIME for n in range(missing))
        after: torch.Tensor | None = None
        for number in range(count // size - 1):
            frames = self._clip_frames(latent[:, :, number * size : (number + 1) * size + shared])
            clip, following = frames[:, :, lead : size * TIME], frames[:, :, size * TIME + lead :]
            made = clip if after is None else _blended(after, clip, after.shape[2], dim=2)
            after = following
            # What fills up the last clip is cut off; it may reach into the frames before the last ones.
            left = 0 if number < count // size - 2 else max(tail - after.shape[2], 0)
            yield made[:, :, : made.shape[2] - left]
        assert after is not None  # there is a clip
        yield after[:, :, : max(after.shape[2] - tail, 0)]

    def _clip_moments(self, clip: torch.Tensor) -> torch.Tensor:
        return _tiled(clip, lambda tile: self.quant_conv(self.encoder(tile)), scale=1, shrinks=True)

    def _clip_frames(self, latent: torch.Tensor) -> torch.Tensor:
        return _tiled(latent, lambda tile: self.decoder(self.post_quant_conv(tile)), scale=SPACE, shrinks=False)

    def _statistic(self, values: torch.Tensor) -> torch.Tensor:
        return values[:, None, None, None]


def _of_channels(values: tuple[float, ...], like: torch.Tensor) -> torch.Tensor:
    return torch.tensor(values).to(like)[:, None, None, None]


def _tiled(x: torch.Tensor, work: Callable[[torch.Tensor], torch.Tensor], *, scale: int, shrinks: bool) -> torch.Tensor:
    """``work`` on tiles of ``x``, whose pixels are ``scale`` pixels of a picture large; the results are cross-faded."""
    down = SPACE if shrinks else 1
    tops, heights = _tiles(x.shape[-2] * scale)
    lefts, widths = _tiles(x.shape[-1] * scale)
    grid: list[list[torch.Tensor]] = []
    for top, _ in tops:
        parts = (
            x[..., top // scale : (top + heights) // scale, left // scale : (left + widths) // scale]
            for left, _ in lefts
        )
        grid.append([work(part) for part in parts])
    rows: list[torch.Tensor] = []
    for above, row in zip([None, *grid], grid, strict=False):
        kept: list[torch.Tensor] = []
        for number, tile in enumerate(row):
            y, x_overlap = tops[len(rows)][1] // down, lefts[number][1] // down
            if above is not None:
                tile = _blended(above[number], tile, y, dim=-2)
            if number:
                tile = _blended(row[number - 1], tile, x_overlap, dim=-1)
            following = lefts[number + 1][1] // down if number + 1 < len(lefts) else 0
            below = tops[len(rows) + 1][1] // down if len(rows) + 1 < len(tops) else 0
            kept.append(tile[..., : tile.shape[-2] - below, : tile.shape[-1] - following])
        rows.append(torch.cat(kept, dim=-1))
    return torch.cat(rows, dim=-2)


def _tiles(length: int) -> tuple[list[tuple[int, int]], int]:
    """Where each tile begins and how far it overlaps the one before; and the tiles' length. All in pixels."""
    if length <= TILE:
        return [(0, 0)], length
    count = -(-length // TILE)
    while TILE * count - OVERLAP * (count - 1) < length:
        count += 1
    overlaps = [OVERLAP] * (count - 1)
    for number in range((TILE * count - sum(overlaps) - length) // SPACE):
        overlaps[number % (count - 1)] += SPACE
    made = [(0, 0)]
    for overlap in overlaps:
        made.append((made[-1][0] + TILE - overlap, overlap))
    return made, TILE


def _blended(first: torch.Tensor, second: torch.Tensor, extent: int, *, dim: int) -> torch.Tensor:
    """``second``, whose beginning is cross-faded with the end of ``first``."""
    extent = min(extent, first.shape[dim], second.shape[dim])
    shape = [1] * second.dim()
    shape[dim] = extent
    part = (torch.arange(extent, device=second.device, dtype=second.dtype) / extent).reshape(shape)
    end = first.narrow(dim, first.shape[dim] - extent, extent)
    begin = second.narrow(dim, 0, extent)
    rest = second.narrow(dim, extent, second.shape[dim] - extent)
    return torch.cat((end * (1 - part) + begin * part, rest), dim=dim)


class _Conv(nn.Conv3d):
    """Causal in time: empty frames before the first. Sides are mirrored."""

    def __init__(self, channels: int, out: int, kernel: int, *, stride: tuple[int, int, int] = (1, 1, 1)) -> None:
        super().__init__(channels, out, kernel, stride=stride)
        self.sides = kernel // 2 if stride == (1, 1, 1) else 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.sides:
            x = functional.pad(x, (self.sides,) * 4 + (0, 0), mode="reflect")
        if (before := self.kernel_size[0] - 1) > 0:
            x = functional.pad(x, (0, 0, 0, 0, before, 0))
        return super().forward(x)


class _GroupNorm(nn.GroupNorm):
    """Of each frame alone."""

    def __init__(self, channels: int) -> None:
        super().__init__(math.gcd(GROUPS, channels), channels, eps=_CONV_EPSILON)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        planes = x.transpose(1, 2).flatten(0, 1)
        return super().forward(planes).reshape(len(x), x.shape[2], *planes.shape[1:]).transpose(1, 2)


class _Residual(nn.Module):
    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = _GroupNorm(channels), _GroupNorm(out)
        self.conv1, self.conv2 = _Conv(channels, out, 3), _Conv(out, out, 3)
        if channels != out:
            self.conv_shortcut = _Conv(channels, out, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.conv1(functional.silu(self.norm1(x)))
        hidden = self.conv2(functional.silu(self.norm2(hidden)))
        result: torch.Tensor = hidden + (self.conv_shortcut(x) if hasattr(self, "conv_shortcut") else x)
        return result


class _Shrink(nn.Module):
    def __init__(self, level: Level) -> None:
        super().__init__()
        self.conv = _Conv(level.out, level.out, 3, stride=(level.time, level.space, level.space))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.conv(functional.pad(x, (0, 1, 0, 1, 0, 0), mode="reflect"))
        return result


class _Down(nn.Module):
    def __init__(self, level: Level) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(
            _Residual(level.out if number else level.channels, level.out) for number in range(level.blocks)
        )
        self.downsamplers = nn.ModuleList([_Shrink(level)] if level.space > 1 else [])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in (*self.resnets, *self.downsamplers):
            x = layer(x)
        return x


class _Encoder(nn.Module):
    def __init__(self, shape: H3VideoShape) -> None:
        super().__init__()
        last = shape.levels[-1].out
        self.conv_in = _Conv(3, shape.levels[0].channels, 3)
        self.down_blocks = nn.ModuleList(_Down(level) for level in shape.levels)
        self.norm_out = _GroupNorm(last)
        self.conv_out = _Conv(last, 2 * shape.latent, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv_in(x)
        for block in self.down_blocks:
            x = block(x)
        result: torch.Tensor = self.conv_out(functional.silu(self.norm_out(x)))
        return result


class _Norm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.rms_norm(x, self.weight.shape, self.weight, _EPSILON)


class _Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.to_q, self.to_k, self.to_v = (Linear(width, width) for _ in range(3))
        self.to_out = nn.ModuleList([Linear(width, width)])

    def forward(self, x: torch.Tensor, angles: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        q, k, v = (layer(x).unflatten(-1, (-1, HEAD)).transpose(1, 2) for layer in (self.to_q, self.to_k, self.to_v))
        q, k = (rotated(functional.rms_norm(part, (HEAD,), None, _EPSILON), angles) for part in (q, k))
        attended = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        result: torch.Tensor = self.to_out[0](attended)
        return result


class _Gated(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.proj = Linear(width, 2 * inner)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        up, gate = self.proj(x).chunk(2, dim=-1)
        result: torch.Tensor = up * functional.silu(gate)
        return result


class _FeedForward(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.net = nn.Sequential(_Gated(width, inner), nn.Identity(), Linear(inner, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.net(x)
        return result


class _Block(nn.Module):
    def __init__(self, shape: H3VideoShape) -> None:
        super().__init__()
        self.norm1, self.norm2 = _Norm(shape.width), _Norm(shape.width)
        self.attn = _Attention(shape.width)
        self.ff = _FeedForward(shape.width, shape.feed_forward)
        self.scale1 = nn.Parameter(torch.empty(shape.width))
        self.scale2 = nn.Parameter(torch.empty(shape.width))

    def forward(self, x: torch.Tensor, angles: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        x = x + self.attn(self.norm1(x), angles) * self.scale1
        result: torch.Tensor = x + self.ff(self.norm2(x)) * self.scale2
        return result


class _Decoder(nn.Module):
    """A token for each pixel of the latent, and a few more that all see."""

    def __init__(self, shape: H3VideoShape) -> None:
        super().__init__()
        self.proj_in = Linear(shape.latent, shape.width)
        self.register_tokens = nn.Parameter(torch.empty(1, shape.registers, shape.width))
        self.transformer_blocks = nn.ModuleList(_Block(shape) for _ in range(shape.layers))
        self.norm_out = nn.LayerNorm(shape.width, eps=_EPSILON)
        self.proj_out = Linear(shape.width, 3 * TIME * SPACE * SPACE)

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        batch, _, frames, height, width = latent.shape
        tokens = self.proj_in(latent.movedim(1, -1).flatten(1, 3))
        count = tokens.shape[1]
        extra = self.register_tokens.expand(batch, -1, -1)
        x = torch.cat((tokens, extra, torch.zeros_like(tokens[:, :1])), dim=1)
        angles = _angles((frames, height, width), x)
        for block in self.transformer_blocks:
            x = block(x, angles)
        pixels = self.proj_out(self.norm_out(x))[:, :count]
        cubes = pixels.reshape(batch, frames, height, width, 3, TIME, SPACE, SPACE)
        made = cubes.permute(0, 4, 1, 5, 2, 6, 3, 7)
        result: torch.Tensor = made.reshape(batch, 3, frames * TIME, height * SPACE, width * SPACE)
        return result


def _angles(size: tuple[int, int, int], x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Each axis spans -1..1; the tokens that are no pixels are at 0."""
    axes = [2 * (torch.arange(side, device=x.device) + 0.5) / side - 1 for side in size]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, 3)
    positions = torch.cat((grid, grid.new_zeros(x.shape[1] - len(grid), 3)))
    frequencies = 1.0 / THETA ** torch.arange(0, 1, 6 / TURNED, device=x.device)
    angles = (2 * math.pi * positions[..., None] * frequencies).flatten(1)
    both = torch.cat((angles, angles), dim=-1)
    return both.cos().to(x), both.sin().to(x)
