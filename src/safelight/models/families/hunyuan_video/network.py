"""The transformer of HunyuanVideo 1.5 (Tencent 2025): blocks of two streams, like those of Flux, over the tokens of all
frames and those of text, glyphs and a picture. A token is one latent pixel of one latent frame."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from safelight.models.families.hunyuan_video.text_refiner import (
    TIME_FEATURES,
    GlyphTokens,
    PictureTokens,
    TextRefiner,
)
from safelight.models.inputs import SPATIAL, Inputs
from safelight.models.network_hooks import NetworkHooks
from safelight.models.transformer.embeddings import TwoLayers, spread
from safelight.models.transformer.modulation import ModulatedOutput
from safelight.models.transformer.rotary import rotations
from safelight.models.transformer.streams import DoubleBlock, SingleBlock, StreamShape, stream_shape
from safelight.models.weights import count_blocks

THETA = 256.0
TEXT, GLYPHS, PICTURE = 0, 1, 2
"""Kinds of conditioning tokens."""


@dataclass(frozen=True)
class HunyuanVideoShape:
    """The network as its weights show it. ``channels``: of the latent with picture and mask beside it. ``glyphs`` and
    ``glyph_inner``: features of byT5, and of the layers after it. ``picture``: features of the image encoder."""

    stream: StreamShape
    channels: int
    out_channels: int
    text: int
    glyphs: int
    glyph_inner: int
    picture: int
    double_blocks: int
    single_blocks: int
    has_guidance: bool

    @property
    def axes(self) -> tuple[int, int, int]:
        """Features of a head for frame, row and column."""
        width = self.stream.width // self.stream.heads
        return width // 8, width * 7 // 16, width * 7 // 16


def hunyuan_video_shape(shapes: Mapping[str, torch.Size]) -> HunyuanVideoShape:
    """Raises :class:`KeyError` if a weight is missing."""
    width, channels = shapes["img_in.proj.weight"][:2]
    return HunyuanVideoShape(
        stream=stream_shape(shapes, width),
        channels=channels,
        out_channels=shapes["final_layer.linear.weight"][0],
        text=shapes["txt_in.input_embedder.weight"][1],
        glyphs=shapes["byt5_in.fc1.weight"][1],
        glyph_inner=shapes["byt5_in.fc1.weight"][0],
        picture=shapes["vision_in.proj.0.weight"][0],
        double_blocks=count_blocks(shapes, "double_blocks"),
        single_blocks=count_blocks(shapes, "single_blocks"),
        has_guidance="guidance_in.in_layer.weight" in shapes,
    )


@dataclass(frozen=True, eq=False)
class HunyuanVideoInputs(Inputs):
    """``context [B, tokens, features]`` of the text, ``glyphs [B, tokens, features]`` of the texts that the video
    shows, ``picture [B, tokens, features]`` of the image encoder. ``concat [B, C, frames, h, w]``: a picture and its
    mask beside the latent. ``guidance [B]``: the scale that the network was distilled with."""

    context: torch.Tensor
    concat: torch.Tensor = field(metadata=SPATIAL)
    glyphs: torch.Tensor | None = None
    picture: torch.Tensor | None = None
    guidance: torch.Tensor | None = None


@dataclass(frozen=True)
class HunyuanVideoArchitecture:
    shape: HunyuanVideoShape

    def build(self) -> "HunyuanVideo":
        return HunyuanVideo(self.shape)


class HunyuanVideo(nn.Module):
    def __init__(self, shape: HunyuanVideoShape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.stream.width
        self.img_in = _Pixels(shape.channels, width)
        self.time_in = TwoLayers(TIME_FEATURES, width)
        if shape.has_guidance:
            self.guidance_in = TwoLayers(TIME_FEATURES, width)
        self.txt_in = TextRefiner(shape.text, width, shape.stream.heads)
        self.byt5_in = GlyphTokens(shape.glyphs, shape.glyph_inner, width)
        self.vision_in = PictureTokens(shape.picture, width)
        self.cond_type_embedding = nn.Embedding(3, width)
        self.double_blocks = nn.ModuleList(DoubleBlock(shape.stream) for _ in range(shape.double_blocks))
        self.single_blocks = nn.ModuleList(SingleBlock(shape.stream) for _ in range(shape.single_blocks))
        self.final_layer = ModulatedOutput(width, shape.out_channels)

    def forward(
        self,
        x: torch.Tensor,
        timestep: torch.Tensor,
        inputs: HunyuanVideoInputs,
        *,
        control: Any = None,
        hooks: NetworkHooks | None = None,
    ) -> torch.Tensor:
        """See :class:`safelight.models.network.Predict`; ``x [B, C, frames, h, w]``. Computes in the type of the
        weights."""
        dtype = self.time_in.in_layer.bias.dtype
        video = self.img_in(torch.cat((x, inputs.concat), dim=1).to(dtype))
        text = self._conditioning(inputs, timestep, dtype)
        embedding = self.time_in(spread(timestep, TIME_FEATURES, factor=1.0).to(dtype))
        if self.shape.has_guidance and inputs.guidance is not None:
            embedding = embedding + self.guidance_in(spread(inputs.guidance, TIME_FEATURES).to(dtype))
        length, positions = text.shape[1], _positions(x)
        at_origin = positions.new_zeros(length, positions.shape[1])
        turns = rotations(torch.cat((at_origin, positions))[None], self.shape.axes, theta=THETA)
        skipped = hooks.skipped if hooks is not None else frozenset()
        block: Any
        for index, block in enumerate(self.double_blocks):
            if ("double", index) not in skipped:
                video, text = block(
                    video,
                    text,
                    picture_modulations=block.img_mod(embedding),
                    text_modulations=block.txt_mod(embedding),
                    turns=turns,
                )
        hidden = torch.cat((text, video), dim=1)
        for index, block in enumerate(self.single_blocks):
            if ("single", index) not in skipped:
                hidden = block(hidden, modulations=block.modulation(embedding), turns=turns)
        made = self.final_layer(hidden[:, length:], *self.final_layer.shift_and_scale(embedding))
        output: torch.Tensor = made.transpose(1, 2).reshape(len(x), -1, *x.shape[2:])
        return output.float()

    def _conditioning(self, inputs: HunyuanVideoInputs, timestep: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """The tokens of all that conditions, each marked with its kind."""
        kinds = self.cond_type_embedding.weight
        parts = [self.txt_in(inputs.context.to(dtype), timestep) + kinds[TEXT]]
        if inputs.glyphs is not None:
            parts.insert(0, self.byt5_in(inputs.glyphs.to(dtype)) + kinds[GLYPHS])
        if inputs.picture is not None:
            parts.insert(0, self.vision_in(inputs.picture.to(dtype)) + kinds[PICTURE])
        return torch.cat(parts, dim=1)


class _Pixels(nn.Module):
    """Latent pixels as tokens."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv3d(channels, width, 1)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        tokens: torch.Tensor = self.proj(frames).flatten(2).transpose(1, 2)
        return tokens


def _positions(x: torch.Tensor) -> torch.Tensor:
    """``[tokens, 3]``."""
    counted = [torch.arange(length, device=x.device, dtype=torch.float32) for length in x.shape[2:]]
    return torch.stack(torch.meshgrid(*counted, indexing="ij"), dim=-1).flatten(0, 2)
