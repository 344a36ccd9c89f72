"""The transformer of LTX-2 (Lightricks 2026), under the names of its files: a video and its audio in two streams, each
with attention to itself and to the text, and to the other at equal times.

Versions differ in parts that the file shows: 2.3 projects the text in its encoder, gates attention heads, and modulates
the text and the queries to it by the noise level; 2.5 modulates the text by constants.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn

from safelight.models.families.ltx.blocks import (
    Attention,
    CaptionProjection,
    FeedForward,
    Modulations,
    Output,
    TimestepModulation,
    Timesteps,
    modulated,
    rms_norm,
)
from safelight.models.families.ltx.positions import Positions, audio_spans
from safelight.models.families.ltx.video_network import (
    HEADS,
    LARGEST,
    TIMESTEPS,
    LtxInputs,
    in_seconds,
    positions_of,
    text_mask,
    video_latent,
    video_tokens,
)
from safelight.models.language.architecture import layer_count
from safelight.models.nested import NestedTensor
from safelight.models.network_hooks import NetworkHooks
from safelight.models.operations import Linear

TEXT_ROWS, TIMED_ROWS = 9, 6
"""Modulations of a block with and without those of the attention to the text."""


PUBLISHED = Positions(splits=True, in_double=True, from_middle=True)
"""Without settings."""


@dataclass(frozen=True)
class StreamWidths:
    """One stream. ``inner``: of its attention; ``context``: features of the text that its blocks see."""

    channels: int
    width: int
    feed_forward: int
    has_bias: bool = True


@dataclass(frozen=True)
class SoundShape:
    """The network as its weights and metadata show it. ``crossing``: width of the attention between the streams.
    ``context``: features of an embedding that a stream's projection takes; 0 if the text encoder projects it."""

    video: StreamWidths
    audio: StreamWidths
    crossing: int
    context: int
    layers: int
    heads: int = HEADS
    is_gated: bool = False
    modulates_text: bool = False
    times_text: bool = False
    """Whether the modulation of the text depends on the noise level."""
    marks_first_frame: bool = False
    positions: Positions = PUBLISHED
    is_causal: bool = True
    gate_timesteps: float = TIMESTEPS
    """Times the noise level, for the gates between the streams."""

    @property
    def features(self) -> int:
        """Of an embedding, for both streams."""
        return 2 * self.context or self.video.width + self.audio.width


_MARK = "keyframes_abs_pos_embedding"


def sound_shape(shapes: Mapping[str, torch.Size], settings: Mapping[str, Any]) -> SoundShape:
    """``settings``: of the network in the file's metadata; without them, those of the published files. Raises
    :class:`KeyError` if a weight is missing."""
    block = "transformer_blocks.0"
    gates = shapes.get(f"{block}.attn1.to_gate_logits.weight")
    caption = shapes.get("caption_projection.linear_1.weight")

    def stream(prefix: str) -> StreamWidths:
        width, channels = shapes[f"{prefix}patchify_proj.weight"]
        inner = shapes[f"{block}.{prefix}ff.net.2.weight"][1]
        return StreamWidths(channels, width, inner, has_bias=f"{block}.{prefix}ff.net.2.bias" in shapes)

    default = SoundShape(stream(""), stream("audio_"), 0, 0, 0)
    return SoundShape(
        video=default.video,
        audio=default.audio,
        crossing=shapes[f"{block}.audio_to_video_attn.to_q.weight"][0],
        context=0 if caption is None else caption[1],
        layers=layer_count(shapes, "transformer_blocks"),
        heads=int(settings.get("num_attention_heads", HEADS)) if gates is None else gates[0],
        is_gated=gates is not None,
        modulates_text=f"{block}.prompt_scale_shift_table" in shapes,
        times_text="prompt_adaln_single.linear.weight" in shapes,
        marks_first_frame=_MARK in shapes,
        positions=positions_of(settings) if settings else default.positions,
        is_causal=bool(settings.get("causal_temporal_positioning", not settings)),
        gate_timesteps=float(settings.get("av_ca_timestep_scale_multiplier", 1.0 if settings else TIMESTEPS)),
    )


@dataclass(frozen=True)
class SoundArchitecture:
    shape: SoundShape

    def build(self) -> "LtxSound":
        return LtxSound(self.shape)


class _Steps(NamedTuple):
    """What one stream's noise levels give: ``own`` modulates its blocks, ``text`` the text that it sees, ``crossing``
    and ``gate`` the attention to the other stream, and ``last`` the output."""

    own: Modulations
    last: Modulations
    crossing: Modulations
    gate: Modulations
    text: Modulations | None


class _Stream(NamedTuple):
    """One stream on its way through the blocks. ``turns`` of its own attention, ``crossing_turns`` of that to the
    other."""

    hidden: torch.Tensor
    text: torch.Tensor
    turns: torch.Tensor
    crossing_turns: torch.Tensor
    steps: _Steps

    def added(self, branch: torch.Tensor) -> "_Stream":
        return self._replace(hidden=self.hidden + branch)


class LtxSound(nn.Module):
    def __init__(self, shape: SoundShape) -> None:
        super().__init__()
        self.shape = shape
        video, audio = shape.video, shape.audio
        rows = TEXT_ROWS if shape.modulates_text else TIMED_ROWS
        self.patchify_proj = Linear(video.channels, video.width)
        self.audio_patchify_proj = Linear(audio.channels, audio.width)
        self.adaln_single = TimestepModulation(video.width, rows)
        self.audio_adaln_single = TimestepModulation(audio.width, rows)
        self.av_ca_video_scale_shift_adaln_single = TimestepModulation(video.width, 4)
        self.av_ca_a2v_gate_adaln_single = TimestepModulation(video.width, 1)
        self.av_ca_audio_scale_shift_adaln_single = TimestepModulation(audio.width, 4)
        self.av_ca_v2a_gate_adaln_single = TimestepModulation(audio.width, 1)
        if shape.times_text:
            self.prompt_adaln_single = TimestepModulation(video.width, 2)
            self.audio_prompt_adaln_single = TimestepModulation(audio.width, 2)
        if shape.context:
            self.caption_projection = CaptionProjection(shape.context, video.width)
            self.audio_caption_projection = CaptionProjection(shape.context, audio.width)
        if shape.marks_first_frame:
            self.register_parameter(_MARK, nn.Parameter(torch.empty(1, video.width)))
        self.transformer_blocks = nn.ModuleList(_Block(shape) for _ in range(shape.layers))
        self.scale_shift_table = nn.Parameter(torch.empty(2, video.width))
        self.audio_scale_shift_table = nn.Parameter(torch.empty(2, audio.width))
        self.proj_out = Linear(video.width, video.channels)
        self.audio_proj_out = Linear(audio.width, audio.channels)

    def forward(
        self,
        x: torch.Tensor | NestedTensor,
        timestep: torch.Tensor,
        inputs: LtxInputs,
        *,
        control: Any = None,
        hooks: NetworkHooks | None = None,
    ) -> torch.Tensor | NestedTensor:
        """See :class:`safelight.models.network.Predict`; ``x`` is a video ``[B, C, frames, h, w]``, or that and audio
        ``[B, C', positions, bands]``. ``timestep`` is the noise level. Computes in the type of the weights."""
        picture, sound = x if isinstance(x, NestedTensor) else (x, None)
        shape, dtype = self.shape, self.patchify_proj.bias.dtype
        tokens = video_tokens(picture, timestep, inputs, is_causal=shape.is_causal)
        sound_timesteps = timestep[:, None]
        if sound is not None and inputs.audio_paint is not None:
            sound_timesteps = inputs.audio_paint[:, 0, :, 0] * sound_timesteps
        seen, heard = self._text(inputs.context.to(dtype))
        sides = (tokens.timesteps, sound_timesteps)
        video = _Stream(
            self.patchify_proj(tokens.tokens.to(dtype)),
            seen,
            *self._video_turns(in_seconds(tokens.spans, inputs.frame_rate)),
            self._video_steps(*sides, timestep),
        )
        audio = None
        if sound is not None:
            audio = _Stream(
                self.audio_patchify_proj(sound.transpose(1, 2).flatten(2).to(dtype)),
                heard,
                *self._audio_turns(audio_spans(sound.shape[2], device=sound.device)),
                self._audio_steps(*sides, timestep),
            )
        mask = text_mask(inputs.mask)
        for block in self.transformer_blocks:
            video, audio = block(video, audio, mask)
        made = Output(self.scale_shift_table, self.proj_out)(video.hidden, video.steps.last)
        latent = video_latent(made, picture, tokens.kept)
        if audio is None or sound is None:
            return latent
        made = Output(self.audio_scale_shift_table, self.audio_proj_out)(audio.hidden, audio.steps.last)
        return NestedTensor([latent, made.reshape(*made.shape[:2], sound.shape[1], -1).transpose(1, 2).float()])

    def _text(self, context: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if self.shape.context:
            seen, heard = context.chunk(2, dim=-1)
            return self.caption_projection(seen), self.audio_caption_projection(heard)
        seen, heard = torch.split(context, [self.shape.video.width, self.shape.audio.width], dim=-1)
        return seen, heard

    def _video_turns(self, spans: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        shape = self.shape
        own = shape.positions.turns(spans, LARGEST, width=shape.video.width, heads=shape.heads)
        return own, self._crossing_turns(spans)

    def _audio_turns(self, spans: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        shape = self.shape
        own = shape.positions.turns(spans, LARGEST[:1], width=shape.audio.width, heads=shape.heads)
        return own, self._crossing_turns(spans)

    def _crossing_turns(self, spans: torch.Tensor) -> torch.Tensor:
        shape = self.shape
        return shape.positions.turns(
            spans[:, :1], LARGEST[:1], width=shape.crossing, heads=shape.heads, from_middle=True
        )

    def _video_steps(self, own: torch.Tensor, other: torch.Tensor, level: torch.Tensor) -> _Steps:
        modulation, last = self.adaln_single(Timesteps.of(own * TIMESTEPS))
        crossing = Timesteps.of(level[:, None] if self.shape.modulates_text else own)
        return _Steps(
            modulation,
            last,
            self.av_ca_video_scale_shift_adaln_single(crossing.times(TIMESTEPS))[0],
            self.av_ca_a2v_gate_adaln_single(crossing.times(self.shape.gate_timesteps))[0],
            self._text_steps("prompt_adaln_single", level),
        )

    def _audio_steps(self, other: torch.Tensor, own: torch.Tensor, level: torch.Tensor) -> _Steps:
        modulation, last = self.audio_adaln_single(Timesteps.of(own * TIMESTEPS))
        crossing = Timesteps.of(level[:, None] if self.shape.modulates_text else own)
        return _Steps(
            modulation,
            last,
            self.av_ca_audio_scale_shift_adaln_single(crossing.times(TIMESTEPS))[0],
            self.av_ca_v2a_gate_adaln_single(crossing.times(self.shape.gate_timesteps))[0],
            self._text_steps("audio_prompt_adaln_single", level),
        )

    def _text_steps(self, name: str, level: torch.Tensor) -> Modulations | None:
        if not self.shape.times_text:
            return None
        made: Modulations = getattr(self, name)(Timesteps.of(level[:, None] * TIMESTEPS))[0]
        return made


class _Block(nn.Module):
    def __init__(self, shape: SoundShape) -> None:
        super().__init__()
        video, audio, heads, crossing = shape.video.width, shape.audio.width, shape.heads, shape.crossing
        kind: dict[str, Any] = {"heads": heads, "is_gated": shape.is_gated}
        splits = shape.positions.splits
        self.attn1 = Attention(video, video, video, splits=splits, **kind)
        self.audio_attn1 = Attention(audio, audio, audio, splits=splits, **kind)
        self.attn2 = Attention(video, video, video, **kind)
        self.audio_attn2 = Attention(audio, audio, audio, **kind)
        self.audio_to_video_attn = Attention(video, audio, crossing, splits=splits, **kind)
        self.video_to_audio_attn = Attention(audio, video, crossing, splits=splits, **kind)
        self.ff = FeedForward(video, shape.video.feed_forward, bias=shape.video.has_bias)
        self.audio_ff = FeedForward(audio, shape.audio.feed_forward, bias=shape.audio.has_bias)
        rows = TEXT_ROWS if shape.modulates_text else TIMED_ROWS
        self.scale_shift_table = nn.Parameter(torch.empty(rows, video))
        self.audio_scale_shift_table = nn.Parameter(torch.empty(rows, audio))
        self.scale_shift_table_a2v_ca_video = nn.Parameter(torch.empty(5, video))
        self.scale_shift_table_a2v_ca_audio = nn.Parameter(torch.empty(5, audio))
        if shape.modulates_text:
            self.prompt_scale_shift_table = nn.Parameter(torch.empty(2, video))
            self.audio_prompt_scale_shift_table = nn.Parameter(torch.empty(2, audio))

    def forward(
        self, video: _Stream, audio: _Stream | None, mask: torch.Tensor | None
    ) -> tuple[_Stream, _Stream | None]:
        video = self._alone(video, mask, "")
        if audio is None:
            return self._fed(video, ""), None
        audio = self._alone(audio, mask, "audio_")
        video, audio = self._crossed(video, audio)
        return self._fed(video, ""), self._fed(audio, "audio_")

    def _alone(self, stream: _Stream, mask: torch.Tensor | None, prefix: str) -> _Stream:
        """Attention to itself, and to the text."""
        table = getattr(self, f"{prefix}scale_shift_table")
        shift, scale, gate = stream.steps.own.rows(table, 0, 3)
        attend = getattr(self, f"{prefix}attn1")
        stream = stream.added(attend(modulated(stream.hidden, scale, shift), turns=stream.turns) * gate)
        attend = getattr(self, f"{prefix}attn2")
        if len(table) == TIMED_ROWS:
            return stream.added(attend(rms_norm(stream.hidden), stream.text, mask=mask))
        shift, scale, gate = stream.steps.own.rows(table, TIMED_ROWS)
        text = self._modulated_text(stream, getattr(self, f"{prefix}prompt_scale_shift_table"))
        return stream.added(attend(modulated(stream.hidden, scale, shift), text, mask=mask) * gate)

    def _modulated_text(self, stream: _Stream, table: torch.Tensor) -> torch.Tensor:
        steps = stream.steps.text
        shift, scale = table.to(stream.text.dtype) if steps is None else steps.rows(table)
        return stream.text * (1 + scale) + shift

    def _crossed(self, video: _Stream, audio: _Stream) -> tuple[_Stream, _Stream]:
        """Attention of each stream to the other. Both see the other as it was before."""
        seen = self._crossing_rows(video, self.scale_shift_table_a2v_ca_video)
        heard = self._crossing_rows(audio, self.scale_shift_table_a2v_ca_audio)
        to_video = self.audio_to_video_attn(
            modulated(video.hidden, seen[0], seen[1]),
            modulated(audio.hidden, heard[0], heard[1]),
            turns=video.crossing_turns,
            context_turns=audio.crossing_turns,
        )
        to_audio = self.video_to_audio_attn(
            modulated(audio.hidden, heard[2], heard[3]),
            modulated(video.hidden, seen[2], seen[3]),
            turns=audio.crossing_turns,
            context_turns=video.crossing_turns,
        )
        return video.added(to_video * seen[4]), audio.added(to_audio * heard[4])

    def _crossing_rows(self, stream: _Stream, table: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Scale and shift towards the video, scale and shift towards the audio, and the gate."""
        return (*stream.steps.crossing.rows(table[:4]), *stream.steps.gate.rows(table[4:]))

    def _fed(self, stream: _Stream, prefix: str) -> _Stream:
        shift, scale, gate = stream.steps.own.rows(getattr(self, f"{prefix}scale_shift_table"), 3, 6)
        return stream.added(getattr(self, f"{prefix}ff")(modulated(stream.hidden, scale, shift)) * gate)
