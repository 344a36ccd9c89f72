"""The transformer of Qwen-Image (Qwen Team 2025), under the names of its files: text and picture in two streams that
attend to each other in every block.

Positions have three axes: the picture of a sequence (the latent's frames, then reference pictures), and its rows and
columns, counted from the middle. Text tokens follow on the diagonal.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from safelight.models.inputs import Inputs
from safelight.models.language.architecture import layer_count
from safelight.models.network_hooks import Control, NetworkHooks, TokenBlock
from safelight.models.operations import Linear
from safelight.models.transformer.additions import Additions
from safelight.models.transformer.attention import attend, split_heads
from safelight.models.transformer.embeddings import spread
from safelight.models.transformer.normalization import layer_norm
from safelight.models.transformer.rotary import rotations

PATCH = 2
"""Latent pixels per side of a token."""
TIME_FEATURES = 256
EPSILON = 1e-6
AXES = (16, 56, 56)
"""Features of a head for each axis of positions."""
THETA = 10_000.0
UNTIMED = "__index_timestep_zero__"
"""The mark of files whose reference pictures have the timestep 0 (Edit 2511)."""
LAYER_TABLE = "time_text_embed.addition_t_embedding.weight"

ReferenceMethod = Literal["index", "index_timestep_zero", "negative_index", "offset"]


@dataclass(frozen=True)
class QwenImageShape:
    """The network as its weights show it. ``references``: how reference pictures are placed if no node says it."""

    channels: int
    out_channels: int
    width: int
    text_width: int
    feed_forward: int
    heads: int
    layers: int
    has_layer_table: bool
    references: ReferenceMethod


def qwen_image_shape(shapes: Mapping[str, torch.Size]) -> QwenImageShape:
    """Raises :class:`KeyError` if a weight is missing."""
    width, features = shapes["img_in.weight"]
    block = "transformer_blocks.0"
    has_table = LAYER_TABLE in shapes
    untimed: ReferenceMethod = "index_timestep_zero" if UNTIMED in shapes else "index"
    return QwenImageShape(
        channels=features // PATCH**2,
        out_channels=shapes["proj_out.weight"][0] // PATCH**2,
        width=width,
        text_width=shapes["txt_in.weight"][1],
        feed_forward=shapes[f"{block}.img_mlp.net.2.weight"][1],
        heads=width // shapes[f"{block}.attn.norm_q.weight"][0],
        layers=layer_count(shapes, "transformer_blocks"),
        has_layer_table=has_table,
        references="negative_index" if has_table else untimed,
    )


@dataclass(frozen=True, eq=False)
class QwenImageInputs(Inputs):
    """``context [B, tokens, features]``; ``references [B, C, frames, h', w']`` on the scale of the network."""

    context: torch.Tensor
    references: tuple[torch.Tensor, ...] = ()
    method: str = "index"


@dataclass(frozen=True)
class QwenImageArchitecture:
    shape: QwenImageShape

    def build(self) -> "QwenImage":
        return QwenImage(self.shape)


class QwenImage(nn.Module):
    def __init__(self, shape: QwenImageShape) -> None:
        super().__init__()
        self.shape = shape
        self.time_text_embed = _TimeEmbedding(shape)
        self.txt_norm = _Norm(shape.text_width)
        self.img_in = Linear(shape.channels * PATCH**2, shape.width)
        self.txt_in = Linear(shape.text_width, shape.width)
        self.transformer_blocks = nn.ModuleList(QwenImageBlock(shape) for _ in range(shape.layers))
        self.norm_out = _FinalNorm(shape.width)
        self.proj_out = Linear(shape.width, shape.out_channels * PATCH**2)
        if shape.references == "index_timestep_zero":
            self.register_buffer(UNTIMED, torch.empty(0))

    def forward(
        self,
        x: torch.Tensor,
        timestep: torch.Tensor,
        inputs: QwenImageInputs,
        *,
        control: Control | None = None,
        hooks: NetworkHooks | None = None,
    ) -> torch.Tensor:
        """See :class:`safelight.models.network.Predict`; ``x [B, C, frames, h, w]``, ``timestep`` is the noise level.
        Computes in the type of the weights."""
        dtype = self.img_in.bias.dtype
        own = in_patches(x)
        parts, positions = [own], [frame_positions(x, 0, (0, 0))]
        for number, reference in enumerate(inputs.references, start=1):
            parts.append(in_patches(reference))
            index, start = _place(inputs.method, number, inputs.references)
            positions.append(frame_positions(reference, index, start))
        length = own.shape[1]
        picture = self.img_in(torch.cat(parts, dim=1).to(dtype))
        text = self.txt_in(self.txt_norm(inputs.context.to(dtype)))
        turns = rotations(torch.cat([text_positions(x, text.shape[1]), *positions])[None], AXES, theta=THETA)
        embedding = self.time_text_embed(timestep, dtype)
        modulation = StepModulation(embedding)
        if inputs.method == "index_timestep_zero" and inputs.references:
            modulation = StepModulation(embedding, self.time_text_embed(torch.zeros_like(timestep), dtype), length)
        additions = Additions(x, control, hooks)
        entering, of_picture = picture, turns[:, :, text.shape[1] :]
        for index, block in enumerate(self.transformer_blocks):
            text, picture = block(text, picture, modulation, turns)
            picture = additions.after(picture, TokenBlock("double", index, entering, of_picture, embedding))
        made = self.proj_out(self.norm_out(picture[:, :length], embedding))
        return _from_patches(made, x).float()


class _Branch(NamedTuple):
    """Shift, scale and gate of a branch, ``[B, 1, width]`` each: one, or two for the tokens before ``start`` and from
    there on."""

    parts: list[tuple[torch.Tensor, ...]]
    start: int

    def normed(self, x: torch.Tensor) -> torch.Tensor:
        """The input of the branch."""
        x = layer_norm(x)
        return self._joined(torch.addcmul(s, part, 1 + c) for part, (s, c, _) in self._pairs(x))

    def added(self, x: torch.Tensor, branch: torch.Tensor) -> torch.Tensor:
        """``x`` plus the gated output of the branch."""
        rows = zip(self._pairs(x), self._pairs(branch), strict=True)
        return self._joined(torch.addcmul(part, gate, made) for (part, (_, _, gate)), (made, _) in rows)

    def _pairs(self, x: torch.Tensor) -> list[tuple[torch.Tensor, tuple[torch.Tensor, ...]]]:
        pieces = [x] if len(self.parts) == 1 else [x[:, : self.start], x[:, self.start :]]
        return list(zip(pieces, self.parts, strict=True))

    @staticmethod
    def _joined(pieces: Iterable[torch.Tensor]) -> torch.Tensor:
        made = list(pieces)
        return made[0] if len(made) == 1 else torch.cat(made, dim=1)


@dataclass(frozen=True, eq=False)
class StepModulation:
    """``embedding [B, width]`` of the timestep; with ``later``, the tokens from ``start`` on have that one."""

    embedding: torch.Tensor
    later: torch.Tensor | None = None
    start: int = 0

    def of(self, layer: nn.Module) -> tuple[_Branch, _Branch]:
        """Of attention and of feed-forward."""
        embeddings = [self.embedding] if self.later is None else [self.embedding, self.later]
        made = [layer(embedding)[:, None].chunk(6, dim=-1) for embedding in embeddings]
        return _Branch([part[:3] for part in made], self.start), _Branch([part[3:] for part in made], self.start)


class _TimeEmbedding(nn.Module):
    def __init__(self, shape: QwenImageShape) -> None:
        super().__init__()
        self.timestep_embedder = _TwoLayers(TIME_FEATURES, shape.width)
        if shape.has_layer_table:
            self.addition_t_embedding = nn.Embedding(2, shape.width)

    def forward(self, timestep: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        embedding: torch.Tensor = self.timestep_embedder(spread(timestep, TIME_FEATURES).to(dtype))
        if hasattr(self, "addition_t_embedding"):
            first = torch.zeros(len(timestep), dtype=torch.long, device=timestep.device)
            embedding = embedding + self.addition_t_embedding(first)
        return embedding


class _TwoLayers(nn.Module):
    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.linear_1 = Linear(features, width)
        self.linear_2 = Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.linear_2(functional.silu(self.linear_1(x)))
        return result


class _Norm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.rms_norm(x, self.weight.shape, self.weight, EPSILON)


class _FinalNorm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = Linear(width, 2 * width)

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        scale, shift = self.linear(functional.silu(embedding))[:, None].chunk(2, dim=-1)
        return torch.addcmul(shift, layer_norm(x), 1 + scale)


class _Attention(nn.Module):
    def __init__(self, shape: QwenImageShape) -> None:
        super().__init__()
        width, head_width = shape.width, shape.width // shape.heads
        self.heads = shape.heads
        self.norm_q, self.norm_k = _Norm(head_width), _Norm(head_width)
        self.norm_added_q, self.norm_added_k = _Norm(head_width), _Norm(head_width)
        self.to_q, self.to_k, self.to_v = (Linear(width, width) for _ in range(3))
        self.add_q_proj, self.add_k_proj, self.add_v_proj = (Linear(width, width) for _ in range(3))
        self.to_out = nn.ModuleList([Linear(width, width)])
        self.to_add_out = Linear(width, width)

    def forward(
        self, text: torch.Tensor, picture: torch.Tensor, turns: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        own = [split_heads(layer(picture), self.heads) for layer in (self.to_q, self.to_k, self.to_v)]
        added = [split_heads(layer(text), self.heads) for layer in (self.add_q_proj, self.add_k_proj, self.add_v_proj)]
        q = torch.cat((self.norm_added_q(added[0]), self.norm_q(own[0])), dim=2)
        k = torch.cat((self.norm_added_k(added[1]), self.norm_k(own[1])), dim=2)
        joined = attend(q, k, torch.cat((added[2], own[2]), dim=2), turns=turns)
        length = text.shape[1]
        return self.to_add_out(joined[:, :length]), self.to_out[0](joined[:, length:])


class _FeedForward(nn.Module):
    def __init__(self, shape: QwenImageShape) -> None:
        super().__init__()
        first = nn.Module()
        first.proj = Linear(shape.width, shape.feed_forward)
        self.net = nn.ModuleList([first, nn.Identity(), Linear(shape.feed_forward, shape.width)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first: Any = self.net[0]
        result: torch.Tensor = self.net[2](functional.gelu(first.proj(x), approximate="tanh"))
        return result


class QwenImageBlock(nn.Module):
    def __init__(self, shape: QwenImageShape) -> None:
        super().__init__()
        self.img_mod = nn.Sequential(nn.SiLU(), Linear(shape.width, 6 * shape.width))
        self.txt_mod = nn.Sequential(nn.SiLU(), Linear(shape.width, 6 * shape.width))
        self.img_mlp, self.txt_mlp = _FeedForward(shape), _FeedForward(shape)
        self.attn = _Attention(shape)

    def forward(
        self, text: torch.Tensor, picture: torch.Tensor, modulation: StepModulation, turns: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        attention, feed = modulation.of(self.img_mod)
        text_attention, text_feed = StepModulation(modulation.embedding).of(self.txt_mod)
        from_text, from_picture = self.attn(text_attention.normed(text), attention.normed(picture), turns)
        picture, text = attention.added(picture, from_picture), text_attention.added(text, from_text)
        return (
            text_feed.added(text, self.txt_mlp(text_feed.normed(text))),
            feed.added(picture, self.img_mlp(feed.normed(picture))),
        )


def in_patches(frames: torch.Tensor) -> torch.Tensor:
    """``[B, C, frames, h, w]`` to ``[B, tokens, C * PATCH * PATCH]``. Odd sides are continued from the opposite
    side."""
    below, right = -frames.shape[-2] % PATCH, -frames.shape[-1] % PATCH
    if below or right:
        frames = functional.pad(frames, (0, right, 0, below, 0, 0), mode="circular")
    batch, channels, count, height, width = frames.shape
    squares = frames.reshape(batch, channels, count, height // PATCH, PATCH, width // PATCH, PATCH)
    return squares.permute(0, 2, 3, 5, 1, 4, 6).flatten(4).flatten(1, 3)


def _from_patches(tokens: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    batch, _, count, height, width = like.shape
    rows, columns = -(-height // PATCH), -(-width // PATCH)
    squares = tokens.reshape(batch, count, rows, columns, -1, PATCH, PATCH).permute(0, 4, 1, 2, 5, 3, 6)
    return squares.reshape(batch, -1, count, rows * PATCH, columns * PATCH)[..., :height, :width]


def frame_positions(frames: torch.Tensor, index: int, start: tuple[int, int]) -> torch.Tensor:
    """``[tokens, 3]`` of a latent. ``index``: of a single frame; ``start``: where its rows and columns begin."""
    count, height, width = frames.shape[-3:]
    rows, columns = (height + 1) // PATCH, (width + 1) // PATCH
    top, left = ((side + 1) // PATCH for side in start)
    positions = torch.empty(count, rows, columns, 3, device=frames.device)
    positions[..., 0] = torch.arange(count, device=frames.device)[:, None, None] if count > 1 else index
    positions[..., 1] = torch.arange(rows, device=frames.device)[:, None] + top - rows // 2
    positions[..., 2] = torch.arange(columns, device=frames.device) + left - columns // 2
    return positions.flatten(0, 2)


def text_positions(x: torch.Tensor, count: int) -> torch.Tensor:
    """``[count, 3]``: those of a prompt's tokens beside a latent ``x``."""
    first = max((side + 1) // PATCH // 2 for side in x.shape[-2:])
    return torch.arange(first, first + count, device=x.device).float()[:, None].expand(-1, 3)


def _place(method: str, number: int, references: tuple[torch.Tensor, ...]) -> tuple[int, tuple[int, int]]:
    """The index and the start of the ``number``-th reference: pictures of their own after the latent or before it, or
    all in one picture, side by side in the direction that keeps it most square."""
    if method in ("index", "index_timestep_zero"):
        return number, (0, 0)
    if method == "negative_index":
        return -number, (0, 0)
    height = width = 0
    start = (0, 0)
    for reference in references[:number]:
        rows, columns = reference.shape[-2:]
        start = (0, width) if rows + height > columns + width else (height, 0)
        height, width = max(height, rows + start[0]), max(width, columns + start[1])
    return 1, start
