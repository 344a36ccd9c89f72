"""The transformer of Qwen-Image 2.1 (Qwen Team 2026), under the names of its files; the reference is diffusers' class.

Text, reference pictures and the picture that is made are one sequence. A text token sees what is before it; a picture
sees what is before it, and the whole of itself. Text and references are modulated as at timestep 0, so that they do not
depend on the step: they run through all blocks first, and the picture then reads their keys and values.

Positions have three axes. Text counts on all three; a picture keeps the first where the text before it ended, and its
rows and columns are counted from its middle.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from safelight.models.families.qwen_image21.prefix_cache import KeysAndValues, PrefixCache
from safelight.models.inputs import Inputs
from safelight.models.language.architecture import layer_count
from safelight.models.network_hooks import NetworkHooks
from safelight.models.operations import Linear
from safelight.models.transformer.attention import attend, split_heads
from safelight.models.transformer.embeddings import spread
from safelight.models.transformer.normalization import layer_norm
from safelight.models.transformer.patches import from_patches, in_patches
from safelight.models.transformer.rotary import rotated, rotations

TIME_FEATURES = 256
EPSILON = 1e-6
AXES = (16, 56, 56)
"""Features of a head for each axis of positions."""
THETA = 10_000.0
MARK = "txt_in.text_norm.weight"
FUSED = "transformer_blocks.0.img_mlp.gate_up.weight"


@dataclass(frozen=True)
class QwenImage21Shape:
    """The network as its weights show it. ``fuses``: gate and input of a feed-forward layer are one matrix, gate
    first."""

    channels: int
    out_channels: int
    width: int
    text_width: int
    feed_forward: int
    layers: int
    fuses: bool

    @property
    def heads(self) -> int:
        return self.width // sum(AXES)


def qwen_image21_shape(shapes: Mapping[str, torch.Size]) -> QwenImage21Shape:
    """Raises :class:`KeyError` if a weight is missing."""
    width, channels = shapes["img_in.weight"]
    return QwenImage21Shape(
        channels=channels,
        out_channels=shapes["proj_out.weight"][0],
        width=width,
        text_width=shapes["txt_in.in_layer.weight"][1],
        feed_forward=shapes["transformer_blocks.0.img_mlp.out.weight"][1],
        layers=layer_count(shapes, "transformer_blocks"),
        fuses=FUSED in shapes,
    )


@dataclass(frozen=True)
class Span:
    """Tokens of the context: of text or, with the number of a reference, those that it replaces."""

    start: int
    end: int
    reference: int | None = None


@dataclass(frozen=True, eq=False)
class QwenImage21Inputs(Inputs):
    """``context [B, tokens, features]``, in ``spans`` that follow each other; ``references [B, C, h', w']`` on the
    scale of the network. ``cache`` belongs to this context and these references."""

    context: torch.Tensor
    references: tuple[torch.Tensor, ...] = ()
    spans: tuple[Span, ...] = ()
    cache: PrefixCache = field(default_factory=PrefixCache)


@dataclass(frozen=True)
class QwenImage21Architecture:
    shape: QwenImage21Shape

    def build(self) -> "QwenImage21":
        return QwenImage21(self.shape)


class QwenImage21(nn.Module):
    def __init__(self, shape: QwenImage21Shape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.width
        self.time_text_embed = _TimeEmbedding(width)
        self.txt_in = _TextIn(shape.text_width, width)
        self.img_in = Linear(shape.channels, width, bias=False)
        self.modulation = nn.Sequential(nn.SiLU(), Linear(width, 4 * width, bias=False))
        self.transformer_blocks = nn.ModuleList(_Block(shape) for _ in range(shape.layers))
        self.norm_out = _NormOut(width)
        self.proj_out = Linear(width, shape.out_channels, bias=False)

    def forward(
        self,
        x: torch.Tensor,
        timestep: torch.Tensor,
        inputs: QwenImage21Inputs,
        *,
        control: Any = None,
        hooks: NetworkHooks | None = None,
    ) -> torch.Tensor:
        """See :class:`safelight.models.network.Predict`; ``x [B, C, h, w]``, ``timestep`` is the noise level. Computes
        in the type of the weights."""
        dtype = self.img_in.weight.dtype
        patches = in_patches(x, 1)
        prefix = _Prefix.of(inputs)
        if inputs.cache.has(self, len(x)):
            known = list(inputs.cache.read(x.to(dtype)))
        else:
            known = self._through_prefix(prefix, inputs, dtype)
            inputs.cache.keep(self, known)
        hidden = self.img_in(patches.tokens.to(dtype))
        rows, columns = patches.rows, patches.columns
        positions = _grid(prefix.next_position, rows, columns, x.device)
        turns = rotations(positions[None], AXES, theta=THETA)
        embedding = self.time_text_embed(timestep, dtype)
        modulation = self.modulation(embedding)[:, None]
        for block, before in zip(self.transformer_blocks, known, strict=True):
            hidden = block(hidden, modulation, turns, before)
        made = self.proj_out(self.norm_out(hidden, embedding))
        return from_patches(made, 1, rows=rows, columns=columns).float()

    def _through_prefix(self, prefix: "_Prefix", inputs: QwenImage21Inputs, dtype: torch.dtype) -> list[KeysAndValues]:
        """The keys and values of text and references in each block."""
        text = self.txt_in(inputs.context.to(dtype))
        parts = []
        for span in prefix.spans:
            if span.reference is None:
                parts.append(text[:, span.start : span.end])
            else:
                tokens = in_patches(inputs.references[span.reference], 1).tokens
                parts.append(self.img_in(tokens.to(dtype)))
        hidden = torch.cat(parts, dim=1)
        turns = rotations(prefix.positions(hidden.device)[None], AXES, theta=THETA)
        zero = inputs.context.new_zeros(1)
        modulation = self.modulation(self.time_text_embed(zero, dtype))[:, None]
        known = []
        block: Any
        for block in self.transformer_blocks:
            hidden, keys_and_values = block.through_prefix(hidden, modulation, turns, prefix.lengths)
            known.append(keys_and_values)
        return known


@dataclass(frozen=True)
class _Prefix:
    """What comes before the picture. ``lengths``: the tokens of each span, and whether they are text."""

    spans: tuple[Span, ...]
    lengths: tuple[tuple[int, bool], ...]
    grids: tuple[tuple[int, int], ...]
    """Rows and columns of each span; text has none."""

    @classmethod
    def of(cls, inputs: QwenImage21Inputs) -> "_Prefix":
        spans = inputs.spans or (Span(0, inputs.context.shape[1]),)
        grids: list[tuple[int, int]] = []
        lengths = []
        for span in spans:
            if span.reference is None:
                grids.append((0, 0))
                lengths.append((span.end - span.start, True))
            else:
                height, width = inputs.references[span.reference].shape[-2:]
                grids.append((height, width))
                lengths.append((height * width, False))
        return cls(spans, tuple(lengths), tuple(grids))

    @property
    def next_position(self) -> int:
        """Where what follows is placed."""
        return sum(length if is_text else max(grid) for (length, is_text), grid in self._parts())

    def positions(self, device: torch.device) -> torch.Tensor:
        """``[tokens, 3]``."""
        made, start = [], 0
        for (length, is_text), (rows, columns) in self._parts():
            if is_text:
                made.append(torch.arange(start, start + length, device=device).float()[:, None].expand(-1, 3))
                start += length
            else:
                made.append(_grid(start, rows, columns, device))
                start += max(rows, columns)
        return torch.cat(made)

    def _parts(self) -> Sequence[tuple[tuple[int, bool], tuple[int, int]]]:
        return list(zip(self.lengths, self.grids, strict=True))


def _grid(start: int, rows: int, columns: int, device: torch.device) -> torch.Tensor:
    """Positions ``[rows * columns, 3]`` of a picture, counted from its middle."""
    made = torch.full((rows, columns, 3), float(start), device=device)
    made[..., 1] = (torch.arange(rows, device=device) - (rows - rows // 2))[:, None]
    made[..., 2] = torch.arange(columns, device=device) - (columns - columns // 2)
    return made.flatten(0, 1)


class _Norm(nn.Module):
    """An RMS norm; ``weight`` is a distance from 1 with ``adds_one``."""

    def __init__(self, width: int, *, adds_one: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))
        self.adds_one = adds_one

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = self.weight + 1.0 if self.adds_one else self.weight
        return functional.rms_norm(x, weight.shape, weight, EPSILON)


class _TextIn(nn.Module):
    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.text_norm = _Norm(features, adds_one=True)
        self.in_layer = Linear(features, width, bias=False)
        self.out_layer = Linear(width, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = functional.gelu(self.in_layer(self.text_norm(x)), approximate="tanh")
        result: torch.Tensor = self.out_layer(hidden)
        return result


class _TimeEmbedding(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.timestep_embedder = nn.ModuleDict(
            {"linear_1": Linear(TIME_FEATURES, width, bias=False), "linear_2": Linear(width, width, bias=False)}
        )

    def forward(self, timestep: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """``[B]`` to ``[B, width]``."""
        hidden = self.timestep_embedder["linear_1"](spread(timestep, TIME_FEATURES).to(dtype))
        result: torch.Tensor = self.timestep_embedder["linear_2"](functional.silu(hidden))
        return result


class _Attention(nn.Module):
    def __init__(self, shape: QwenImage21Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.to_q = Linear(shape.width, shape.width, bias=False)
        self.to_k = Linear(shape.width, shape.width, bias=False)
        self.to_v = Linear(shape.width, shape.width, bias=False)
        self.to_out = nn.ModuleList([Linear(shape.width, shape.width, bias=False)])
        self.norm_q, self.norm_k = _Norm(sum(AXES)), _Norm(sum(AXES))

    def projected(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries, keys and values ``[B, heads, tokens, width]``."""
        q, k, v = (split_heads(layer(x), self.heads) for layer in (self.to_q, self.to_k, self.to_v))
        return self.norm_q(q), self.norm_k(k), v


class _FeedForward(nn.Module):
    def __init__(self, shape: QwenImage21Shape) -> None:
        super().__init__()
        self.fuses = shape.fuses
        if shape.fuses:
            self.gate_up = Linear(shape.width, 2 * shape.feed_forward, bias=False)
        else:
            self.gate_layer = Linear(shape.width, shape.feed_forward, bias=False)
            self.proj = Linear(shape.width, shape.feed_forward, bias=False)
        self.out = Linear(shape.feed_forward, shape.width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate, up = self.gate_up(x).chunk(2, dim=-1) if self.fuses else (self.gate_layer(x), self.proj(x))
        result: torch.Tensor = self.out(functional.silu(gate) * up)
        return result


class _Block(nn.Module):
    def __init__(self, shape: QwenImage21Shape) -> None:
        super().__init__()
        self.attn = _Attention(shape)
        self.img_mlp = _FeedForward(shape)

    def forward(
        self, x: torch.Tensor, modulation: torch.Tensor, turns: torch.Tensor, before: KeysAndValues
    ) -> torch.Tensor:
        """``before``: keys and values, turned, of the tokens that all of ``x`` sees besides itself."""
        scale, gate, feed_scale, feed_gate = modulation.chunk(4, dim=-1)
        q, k, v = self.attn.projected(layer_norm(x) * (1 + scale))
        q, k = rotated(q, turns), rotated(k, turns)
        attended = attend(q, torch.cat((before[0], k), dim=2), torch.cat((before[1], v), dim=2))
        return self._after(x, attended, gate, feed_scale, feed_gate)

    def through_prefix(
        self,
        x: torch.Tensor,
        modulation: torch.Tensor,
        turns: torch.Tensor,
        lengths: Sequence[tuple[int, bool]],
    ) -> tuple[torch.Tensor, KeysAndValues]:
        """``lengths``: the tokens of each span, and whether they are text. Each span sees those before it; text sees
        what is before it in its own, a picture all of itself."""
        scale, gate, feed_scale, feed_gate = modulation.chunk(4, dim=-1)
        q, k, v = self.attn.projected(layer_norm(x) * (1 + scale))
        q, k = rotated(q, turns), rotated(k, turns)
        attended, start = [], 0
        for length, is_text in lengths:
            end = start + length
            mask = None
            if is_text:
                mask = torch.ones(length, end, dtype=torch.bool, device=x.device).tril(start)
            attended.append(attend(q[:, :, start:end], k[:, :, :end], v[:, :, :end], mask=mask))
            start = end
        return self._after(x, torch.cat(attended, dim=1), gate, feed_scale, feed_gate), (k, v)

    def _after(
        self,
        x: torch.Tensor,
        attended: torch.Tensor,
        gate: torch.Tensor,
        feed_scale: torch.Tensor,
        feed_gate: torch.Tensor,
    ) -> torch.Tensor:
        x = x + gate.tanh() * self.attn.to_out[0](attended)
        result: torch.Tensor = x + feed_gate.tanh() * self.img_mlp(layer_norm(x) * (1 + feed_scale))
        return result


class _NormOut(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = Linear(width, width, bias=False)

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        scale = self.linear(functional.silu(embedding))[:, None]
        result: torch.Tensor = layer_norm(x) * (1 + scale)
        return result
