"""The transformer of LTX-Video (HaCohen et al. 2024), under the names of its files: tokens of a video attend to each
other and to the text."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import nn

from safelight.models.families.ltx.blocks import (
    Attention,
    CaptionProjection,
    FeedForward,
    Output,
    TimestepModulation,
    Timesteps,
    modulated,
)
from safelight.models.families.ltx.positions import Positions, video_spans
from safelight.models.inputs import SPATIAL, Inputs
from safelight.models.language.architecture import layer_count
from safelight.models.network_hooks import NetworkHooks
from safelight.models.operations import Linear

HEADS = 32
TIMESTEPS = 1000.0
"""Times the noise level."""
SCALE = (8, 32, 32)
"""Frames and pixels of a token."""
LARGEST = (20, 2048, 2048)
"""Positions that training covered, in seconds and pixels."""


STARTS = Positions()
"""Without settings: positions are where tokens start."""


@dataclass(frozen=True)
class VideoShape:
    """The network as its weights and metadata show it. ``context``: features of an embedding."""

    channels: int
    width: int
    context: int
    feed_forward: int
    layers: int
    heads: int = HEADS
    positions: Positions = STARTS
    is_causal: bool = False


def video_shape(shapes: Mapping[str, torch.Size], settings: Mapping[str, Any]) -> VideoShape:
    """``settings``: of the network in the file's metadata. Raises :class:`KeyError` if a weight is missing."""
    width, channels = shapes["patchify_proj.weight"]
    return VideoShape(
        channels=channels,
        width=width,
        context=shapes["caption_projection.linear_1.weight"][1],
        feed_forward=shapes["transformer_blocks.0.ff.net.2.weight"][1],
        layers=layer_count(shapes, "transformer_blocks"),
        heads=int(settings.get("num_attention_heads", HEADS)),
        positions=positions_of(settings),
        is_causal=bool(settings.get("causal_temporal_positioning", False)),
    )


def positions_of(settings: Mapping[str, Any]) -> Positions:
    return Positions(
        splits=settings.get("rope_type") == "split",
        in_double=settings.get("frequencies_precision") == "float64",
        from_middle=bool(settings.get("use_middle_indices_grid", False)),
    )


@dataclass(frozen=True, eq=False)
class LtxInputs(Inputs):
    """``context [B, tokens, features]``, and ``mask [B, tokens]`` where 0 is a token to ignore. ``paint [B, C, frames,
    h, w]``: the share of noise at each place; ``audio_paint`` that of audio. ``guides [B, 3, tokens, 2]``: the
    positions of the last tokens, which are frames that guide."""

    context: torch.Tensor
    mask: torch.Tensor | None = None
    frame_rate: float = 25.0
    paint: torch.Tensor | None = field(default=None, metadata=SPATIAL)
    audio_paint: torch.Tensor | None = None
    guides: torch.Tensor | None = None


@dataclass(frozen=True)
class VideoArchitecture:
    shape: VideoShape

    def build(self) -> "LtxVideo":
        return LtxVideo(self.shape)


class VideoTokens(NamedTuple):
    """``tokens [B, n, channels]`` of a video, their ``spans [1 or B, 3, n, 2]`` in frames and pixels, and their
    ``timesteps [B, 1 or n]``. ``kept [frames * h * w]``: which positions of the latent are among them; ``None`` for
    all."""

    tokens: torch.Tensor
    spans: torch.Tensor
    timesteps: torch.Tensor
    kept: torch.Tensor | None


def video_tokens(x: torch.Tensor, timestep: torch.Tensor, inputs: LtxInputs, *, is_causal: bool) -> VideoTokens:
    tokens = x.flatten(2).transpose(1, 2)
    spans = video_spans(*x.shape[2:], scale=SCALE, is_causal=is_causal, device=x.device)
    timesteps, kept = timestep[:, None], None
    if inputs.paint is not None:
        shares = inputs.paint[:, :1].flatten(1)
        timesteps = shares * timesteps
        if inputs.guides is not None and (shares < 0).any():
            kept = shares[0] >= 0  # guides that are masked out
    if inputs.guides is not None:
        spans = spans.repeat(len(x), 1, 1, 1)
        spans[:, :, -inputs.guides.shape[2] :] = inputs.guides.to(spans)
    if kept is not None:
        tokens, spans, timesteps = tokens[:, kept], spans[:, :, kept], timesteps[:, kept]
    return VideoTokens(tokens, spans, timesteps, kept)


def video_latent(tokens: torch.Tensor, x: torch.Tensor, kept: torch.Tensor | None) -> torch.Tensor:
    """The inverse for tokens that the network made, in the shape of ``x``; 0 where there are none."""
    if kept is not None:
        whole = tokens.new_zeros(len(tokens), len(kept), tokens.shape[-1])
        whole[:, kept] = tokens
        tokens = whole
    return tokens.transpose(1, 2).reshape(x.shape).float()


def in_seconds(spans: torch.Tensor, frame_rate: float) -> torch.Tensor:
    """Spans in frames and pixels, with frames as seconds."""
    return torch.cat((spans[:, :1].float() * (1.0 / frame_rate), spans[:, 1:].float()), dim=1)


def text_mask(mask: torch.Tensor | None) -> torch.Tensor | None:
    return None if mask is None else mask.bool()[:, None, None]


class LtxVideo(nn.Module):
    def __init__(self, shape: VideoShape) -> None:
        super().__init__()
        self.shape = shape
        self.patchify_proj = Linear(shape.channels, shape.width)
        self.adaln_single = TimestepModulation(shape.width, 6)
        self.caption_projection = CaptionProjection(shape.context, shape.width)
        self.transformer_blocks = nn.ModuleList(_Block(shape) for _ in range(shape.layers))
        self.scale_shift_table = nn.Parameter(torch.empty(2, shape.width))
        self.proj_out = Linear(shape.width, shape.channels)

    def forward(
        self,
        x: torch.Tensor,
        timestep: torch.Tensor,
        inputs: LtxInputs,
        *,
        control: Any = None,
        hooks: NetworkHooks | None = None,
    ) -> torch.Tensor:
        """See :class:`safelight.models.network.Predict`; ``x [B, C, frames, h, w]``, ``timestep`` is the noise level.
        Computes in the type of the weights."""
        shape, dtype = self.shape, self.patchify_proj.bias.dtype
        video = video_tokens(x, timestep, inputs, is_causal=shape.is_causal)
        spans = in_seconds(video.spans, inputs.frame_rate)
        turns = shape.positions.turns(spans, LARGEST, width=shape.width, heads=shape.heads)
        modulations, embedding = self.adaln_single(Timesteps.of(video.timesteps * TIMESTEPS))
        hidden = self.patchify_proj(video.tokens.to(dtype))
        text = self.caption_projection(inputs.context.to(dtype))
        mask = text_mask(inputs.mask)
        for block in self.transformer_blocks:
            hidden = block(hidden, text, mask, modulations, turns)
        made = Output(self.scale_shift_table, self.proj_out)(hidden, embedding)
        return video_latent(made, x, video.kept)


class _Block(nn.Module):
    def __init__(self, shape: VideoShape) -> None:
        super().__init__()
        width, heads, splits = shape.width, shape.heads, shape.positions.splits
        self.attn1 = Attention(width, width, width, heads=heads, splits=splits)
        self.attn2 = Attention(width, width, width, heads=heads)
        self.ff = FeedForward(width, shape.feed_forward)
        self.scale_shift_table = nn.Parameter(torch.empty(6, width))

    def forward(
        self,
        hidden: torch.Tensor,
        text: torch.Tensor,
        mask: torch.Tensor | None,
        modulations: Any,
        turns: torch.Tensor,
    ) -> torch.Tensor:
        shift, scale, gate, ff_shift, ff_scale, ff_gate = modulations.rows(self.scale_shift_table)
        hidden = hidden + self.attn1(modulated(hidden, scale, shift), turns=turns) * gate
        hidden = hidden + self.attn2(hidden, text, mask=mask)
        result: torch.Tensor = hidden + self.ff(modulated(hidden, ff_scale, ff_shift)) * ff_gate
        return result
