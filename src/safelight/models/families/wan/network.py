"""The transformer of Wan 2.1 and 2.2 (Wan Team 2025), under the names of its files. A token is 2 x 2 latent pixels
of one latent frame; its position has three axes.

What a file can do shows in its weights: ``img_emb`` (a picture by its image encoder), more input channels than a latent
has (pictures and masks beside the latent), ``ref_conv`` (a reference picture as a frame before the first),
``vace_blocks`` (a control video), ``control_adapter`` (the path of a camera).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from safelight.models.families.wan.blocks import HEAD_WIDTH, Block, BlockInputs, Head
from safelight.models.families.wan.controls import CameraAdapter, VaceBlock, vace_places
from safelight.models.inputs import SPATIAL, Inputs
from safelight.models.language.architecture import layer_count
from safelight.models.network_hooks import NetworkHooks
from safelight.models.operations import Conv2d, Linear
from safelight.models.transformer.rotary import rotations
from safelight.models.unet.unet_module import sinusoids

PATCH = 2
"""Latent pixels per side of a token."""
THETA = 10_000.0
PATCH_KERNEL = (1, PATCH, PATCH)


@dataclass(frozen=True)
class WanShape:
    """The network as its weights show it. ``picture``: features of an image encoder, 0 without one; ``pictures``:
    positions of several of its pictures (first and last frame), 0 for one picture. ``reference``: channels of a
    reference picture. ``vace_layers`` and ``vace_channels``: of a control video. ``camera``: channels of a camera's
    path."""

    channels: int
    out_channels: int
    width: int
    feed_forward: int
    layers: int
    text_width: int
    time_width: int = 256
    picture: int = 0
    pictures: int = 0
    reference: int = 0
    vace_layers: int = 0
    vace_channels: int = 0
    camera: int = 0


def wan_shape(shapes: Mapping[str, torch.Size]) -> WanShape:
    """Raises :class:`KeyError` if a weight is missing."""
    width, text_width = shapes["text_embedding.0.weight"]

    def size(name: str, dimension: int) -> int:
        return shapes[name][dimension] if name in shapes else 0

    return WanShape(
        channels=shapes["patch_embedding.weight"][1],
        out_channels=shapes["head.head.weight"][0] // PATCH**2,
        width=width,
        feed_forward=shapes["blocks.0.ffn.0.weight"][0],
        layers=layer_count(shapes, "blocks"),
        text_width=text_width,
        time_width=shapes["time_embedding.0.weight"][1],
        picture=size("img_emb.proj.0.weight", 0),
        pictures=size("img_emb.emb_pos", 1),
        reference=size("ref_conv.weight", 1),
        vace_layers=layer_count(shapes, "vace_blocks"),
        vace_channels=size("vace_patch_embedding.weight", 1),
        camera=size("control_adapter.conv.weight", 1) // CameraAdapter.SQUARE**2,
    )


@dataclass(frozen=True, eq=False)
class WanInputs(Inputs):
    """``context [B, tokens, features]`` of the text. ``concat [B, C, frames, h, w]``: channels beside the latent.
    ``picture [B, tokens, features]`` of an image encoder. ``reference [B, C, h, w]``: a picture before the first frame.
    ``after [B, C, frames, h, w]``: pictures after the last frame. ``unmasked [B, frames]``: the share of each frame
    that is to be painted, which scales its timestep. ``videos``: control videos ``[B, C, frames, h, w]`` (what
    stays, what changes, and masks), with ``strengths``. ``camera [B, C, frames, H, W]`` in pixels."""

    context: torch.Tensor
    concat: torch.Tensor | None = field(default=None, metadata=SPATIAL)
    picture: torch.Tensor | None = None
    reference: torch.Tensor | None = None
    after: torch.Tensor | None = None
    unmasked: torch.Tensor | None = None
    videos: tuple[torch.Tensor, ...] = ()
    strengths: tuple[float, ...] = ()
    camera: torch.Tensor | None = None


@dataclass(frozen=True)
class WanArchitecture:
    shape: WanShape

    def build(self) -> "Wan":
        return Wan(self.shape)


class Wan(nn.Module):
    def __init__(self, shape: WanShape) -> None:
        super().__init__()
        width = shape.width
        self.shape = shape
        self.patch_embedding = nn.Conv3d(shape.channels, width, PATCH_KERNEL, stride=PATCH_KERNEL)
        self.text_embedding = nn.Sequential(
            Linear(shape.text_width, width), nn.GELU(approximate="tanh"), Linear(width, width)
        )
        self.time_embedding = nn.Sequential(Linear(shape.time_width, width), nn.SiLU(), Linear(width, width))
        self.time_projection = nn.Sequential(nn.SiLU(), Linear(width, 6 * width))
        has_picture = shape.picture > 0
        self.blocks = nn.ModuleList(
            Block(width, shape.feed_forward, has_picture=has_picture) for _ in range(shape.layers)
        )
        self.head = Head(width, shape.out_channels * PATCH**2)
        if has_picture:
            self.img_emb = PictureTokens(shape)
        if shape.reference:
            self.ref_conv = Conv2d(shape.reference, width, PATCH, stride=PATCH)
        if shape.vace_layers:
            self.vace_blocks = nn.ModuleList(
                VaceBlock(width, shape.feed_forward, is_first=number == 0) for number in range(shape.vace_layers)
            )
            self.vace_patch_embedding = nn.Conv3d(shape.vace_channels, width, PATCH_KERNEL, stride=PATCH_KERNEL)
        if shape.camera:
            self.control_adapter = CameraAdapter(shape.camera, width)

    def forward(
        self,
        x: torch.Tensor,
        timestep: torch.Tensor,
        inputs: WanInputs,
        *,
        control: Any = None,
        hooks: NetworkHooks | None = None,
    ) -> torch.Tensor:
        """See :class:`safelight.models.network.Predict`; ``x [B, C, frames, h, w]``. Computes in the type of the
        weights."""
        frames, height, width = x.shape[2:]
        latent = x if inputs.concat is None else torch.cat((x, inputs.concat), dim=1)
        latent = _whole_patches(latent)
        if inputs.after is not None:
            latent = torch.cat((latent, _whole_patches(inputs.after)), dim=2)
        tokens, grid = self._tokens(latent, inputs)
        before = 0
        if self.shape.reference and inputs.reference is not None:
            reference = self.ref_conv(inputs.reference.to(tokens.dtype)).flatten(2).transpose(1, 2)
            before = reference.shape[1]
            tokens = torch.cat((reference, tokens), dim=1)
        positions = _positions((grid[0] + bool(before), *grid[1:]), x.device)
        embedding = self._time(timestep, inputs.unmasked, tokens.dtype)
        given = BlockInputs(
            embedding=self.time_projection(embedding).unflatten(2, (6, self.shape.width)),
            turns=rotations(positions[None], axes(), theta=THETA),
            text=self.text_embedding(inputs.context.to(tokens.dtype)),
            picture=self._picture(inputs, tokens.dtype),
        )
        tokens = self.head(self._through(tokens, given, inputs, hooks or NetworkHooks()), embedding)
        return _from_tokens(tokens[:, before:], grid)[:, :, :frames, :height, :width].float()

    def _tokens(self, latent: torch.Tensor, inputs: WanInputs) -> tuple[torch.Tensor, tuple[int, int, int]]:
        embedded = self.patch_embedding(latent.to(self.patch_embedding.weight.dtype))
        if self.shape.camera and inputs.camera is not None:
            embedded = embedded + self.control_adapter(inputs.camera.to(embedded.dtype))
        frames, rows, columns = embedded.shape[2:]
        return embedded.flatten(2).transpose(1, 2), (frames, rows, columns)

    def _time(self, timestep: torch.Tensor, unmasked: torch.Tensor | None, dtype: torch.dtype) -> torch.Tensor:
        """``[B, 1 or frames, width]``."""
        times = timestep[:, None] if unmasked is None else timestep[:, None] * unmasked
        features = sinusoids(times.flatten(), self.shape.time_width).to(dtype)
        embedding: torch.Tensor = self.time_embedding(features).reshape(*times.shape, -1)
        return embedding

    def _picture(self, inputs: WanInputs, dtype: torch.dtype) -> torch.Tensor | None:
        if not self.shape.picture or inputs.picture is None:
            return None
        tokens: torch.Tensor = self.img_emb(inputs.picture.to(dtype))
        return tokens

    def _through(
        self, tokens: torch.Tensor, given: BlockInputs, inputs: WanInputs, hooks: NetworkHooks
    ) -> torch.Tensor:
        start = tokens
        places: dict[int, int] = {}
        videos = [self._video_tokens(video) for video in inputs.videos if self.shape.vace_layers]
        if videos:
            places = vace_places(self.shape.layers, self.shape.vace_layers)
        for number, block in enumerate(self.blocks):
            if ("double", number) not in hooks.skipped:
                tokens = block(tokens, given)
            if (place := places.get(number)) is not None:
                guide: Any = self.vace_blocks[place]
                for index, strength in enumerate(inputs.strengths):
                    added, videos[index] = guide.controlled(videos[index], start, given)
                    tokens = tokens + added * strength
        return tokens

    def _video_tokens(self, video: torch.Tensor) -> torch.Tensor:
        embedded = self.vace_patch_embedding(_whole_patches(video).to(self.vace_patch_embedding.weight.dtype))
        tokens: torch.Tensor = embedded.flatten(2).transpose(1, 2)
        return tokens


class PictureTokens(nn.Module):
    """From the features of an image encoder to tokens of the network's width."""

    def __init__(self, shape: WanShape) -> None:
        super().__init__()
        features, width = shape.picture, shape.width
        self.proj = nn.Sequential(
            nn.LayerNorm(features), Linear(features, features), nn.GELU(), Linear(features, width), nn.LayerNorm(width)
        )
        if shape.pictures:
            self.emb_pos = nn.Parameter(torch.empty(1, shape.pictures, features))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        if hasattr(self, "emb_pos"):
            known = self.emb_pos.shape[1]
            features = features[:, :known] + self.emb_pos[:, : features.shape[1]]
        tokens: torch.Tensor = self.proj(features)
        return tokens


def axes() -> tuple[int, int, int]:
    """Features of a head for each axis of positions."""
    third = 2 * (HEAD_WIDTH // 6)
    return HEAD_WIDTH - 2 * third, third, third


def _whole_patches(frames: torch.Tensor) -> torch.Tensor:
    """Odd sides are continued from the opposite side."""
    below, right = -frames.shape[-2] % PATCH, -frames.shape[-1] % PATCH
    return functional.pad(frames, (0, right, 0, below, 0, 0), mode="circular") if below or right else frames


def _positions(grid: tuple[int, int, int], device: torch.device) -> torch.Tensor:
    """``[tokens, 3]``."""
    counted = [torch.arange(length, device=device, dtype=torch.float32) for length in grid]
    return torch.stack(torch.meshgrid(*counted, indexing="ij"), dim=-1).flatten(0, 2)


def _from_tokens(tokens: torch.Tensor, grid: tuple[int, int, int]) -> torch.Tensor:
    """``[B, C, frames, h, w]``."""
    frames, rows, columns = grid
    squares = tokens[:, : math.prod(grid)].reshape(len(tokens), frames, rows, columns, PATCH, PATCH, -1)
    return squares.permute(0, 6, 1, 2, 4, 3, 5).reshape(len(tokens), -1, frames, rows * PATCH, columns * PATCH)
