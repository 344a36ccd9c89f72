"""The transformer of MiniMax H3 (MiniMax 2026), under the names of its files; the reference is diffusers' class.

Text, references, guides, the sound and the film are one sequence in which every row sees every other. What a row is
(film, text or sound) and its noise level choose its modulation. Film and sound have noise levels of their own, from one
base level with two shifts (see :func:`sound_level`).

Pruned files have a table instead of the time embedding: what the modulation layers read, at equal distances of the
timestep.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from safelight.models.families.minimax_h3.layout import PATCH, SOUND, VIDEO, Part, layout
from safelight.models.families.minimax_h3.sparse_attention import Plan, SparseAttention
from safelight.models.inputs import Inputs
from safelight.models.language.architecture import layer_count
from safelight.models.language.rotary import rotated
from safelight.models.nested import NestedTensor
from safelight.models.network_hooks import NetworkHooks
from safelight.models.operations import Linear
from safelight.models.transformer.attention import split_heads
from safelight.models.transformer.embeddings import spread

MARK = "token_refiner.blocks.0.attn.qkv_proj.weight"
TABLE = "adaln_t_table"
KINDS = 3
"""Of rows: film, text, sound."""
EPSILON = 1e-5
FREQUENCIES = 16
THETA = 10_000.0
TIME_FEATURES = 256
GUIDED = 0.999
"""The timestep of pictures that guide; 1 is without noise."""
FILM_TIME, SOUND_TIME, GUIDE_TIME, CLEAN_TIME = range(4)
"""The timesteps of rows."""


@dataclass(frozen=True)
class H3Shape:
    """The network as its weights show it. ``table``: rows of a pruned file's table, 0 without; ``time_width``: what the
    modulation layers read."""

    channels: int
    sound_channels: int
    width: int
    text_width: int
    heads: int
    head_width: int
    feed_forward: int
    layers: int
    refining: int
    time_width: int
    time_hidden: int
    table: int


def h3_shape(shapes: Mapping[str, torch.Size]) -> H3Shape:
    """Raises :class:`KeyError` if a weight is missing."""
    width, features = shapes["video_patch_proj.weight"]
    (head_width,) = shapes["blocks.0.attn.q_norm.weight"]
    table = shapes.get(TABLE)
    return H3Shape(
        channels=features // PATCH**2,
        sound_channels=shapes["audio_patch_proj.weight"][1],
        width=width,
        text_width=shapes["condition_proj.weight"][1],
        heads=shapes["blocks.0.attn.out_proj.weight"][1] // head_width,
        head_width=head_width,
        feed_forward=shapes["blocks.0.mlp.fc2.weight"][1],
        layers=layer_count(shapes, "blocks"),
        refining=layer_count(shapes, "token_refiner.blocks"),
        time_width=shapes["blocks.0.adaln_proj.linear.weight"][1],
        time_hidden=0 if table is not None else shapes["time_embedder.proj_in.weight"][0],
        table=0 if table is None else table[0],
    )


@dataclass(frozen=True, eq=False)
class H3Inputs(Inputs):
    """``context [B, tokens, features]`` with ``tags [B, tokens]``; ``parts`` with their ``films [B, C, frames, h, w]``
    and ``sounds [B, C, positions, 1, 2]``. ``sigmas``: the noise levels of the whole run, for the film; ``shifts``: of
    film and sound."""

    context: torch.Tensor
    tags: torch.Tensor
    parts: tuple[Part, ...] = ()
    films: tuple[torch.Tensor, ...] = ()
    sounds: tuple[torch.Tensor, ...] = ()
    sigmas: tuple[float, ...] = ()
    shifts: tuple[float, float] = (12.0, 3.0)
    sparse: SparseAttention | None = None


@dataclass(frozen=True)
class H3Architecture:
    shape: H3Shape

    def build(self) -> "MiniMaxH3":
        return MiniMaxH3(self.shape)


def sound_level(sigma: torch.Tensor, shifts: tuple[float, float]) -> torch.Tensor:
    """The noise level of the sound where that of the film is ``sigma``: both are shifted from one base level."""
    film, sound = shifts
    base = sigma / (film - (film - 1) * sigma)
    return sound * base / (1 + (sound - 1) * base)


def sound_pace(sigma: torch.Tensor, sigmas: Sequence[float], shifts: tuple[float, float]) -> torch.Tensor:
    """How much the sound's level falls in this step for what the film's falls. A sampler moves both by the film's
    levels; with its velocity times this, the sound moves by its own."""
    following = torch.tensor([max([0.0, *(one for one in sigmas if one < float(now) - 1e-6)]) for now in sigma])
    following = following.to(sigma)
    fallen = sound_level(sigma, shifts) - sound_level(following, shifts)
    return fallen / (sigma - following).clamp(min=1e-6)


class MiniMaxH3(nn.Module):
    def __init__(self, shape: H3Shape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.width
        self.video_patch_proj = Linear(shape.channels * PATCH**2, width)
        self.audio_patch_proj = Linear(shape.sound_channels, width)
        self.condition_proj = Linear(shape.text_width, width)
        if shape.table:
            self.adaln_t_table = nn.Parameter(torch.empty(shape.table, shape.time_width))
        else:
            parts = {
                "proj_in": Linear(TIME_FEATURES, shape.time_hidden),
                "proj_out": Linear(shape.time_hidden, shape.time_width),
            }
            self.time_embedder = nn.ModuleDict(parts)
        self.token_refiner = _Refiner(shape)
        self.blocks = nn.ModuleList(_ModulatedBlock(shape) for _ in range(shape.layers))
        self.final_layer = _FinalLayer(shape)

    def forward(
        self,
        x: NestedTensor,
        timestep: torch.Tensor,
        inputs: H3Inputs,
        *,
        control: Any = None,
        hooks: NetworkHooks | None = None,
    ) -> NestedTensor:
        """See :class:`safelight.models.network.Predict`; ``x``: a film ``[B, C, frames, h, w]`` and its sound ``[B, C,
        positions, 1, 2]``. ``timestep`` is the noise level of the film. Computes in the type of the weights."""
        film, sound = x
        dtype = self.video_patch_proj.bias.dtype
        text = self.token_refiner(self.condition_proj(inputs.context.to(dtype)))
        places = layout(text.shape[1], inputs.parts, (*film.shape[2:],), sound.shape[2])
        rows, positions = [text], [places.text]
        tags = [inputs.tags]
        times = [torch.full_like(inputs.tags, FILM_TIME)]

        def add(features: torch.Tensor, at: torch.Tensor, tag: int, time: int) -> None:
            rows.append(features)
            positions.append(at)
            tags.append(torch.full(features.shape[:2], tag, device=film.device))
            times.append(torch.full(features.shape[:2], time, device=film.device))

        for given, at in zip(inputs.films, places.films, strict=True):
            add(self.video_patch_proj(film_rows(given).to(dtype)), at, VIDEO, GUIDE_TIME)
        for given, at in zip(inputs.sounds, places.sounds, strict=True):
            add(self.audio_patch_proj(sound_rows(given).to(dtype)), at, SOUND, CLEAN_TIME)
        add(self.audio_patch_proj(sound_rows(sound).to(dtype)), places.sound, SOUND, SOUND_TIME)
        add(self.video_patch_proj(film_rows(film).to(dtype)), places.film, VIDEO, FILM_TIME)

        read = self._read_times(timestep, inputs.shifts, dtype)
        angles = _angles(torch.cat(positions).to(film.device), dtype)
        hidden = torch.cat(rows, dim=1)
        time = torch.cat(times, dim=1)
        chosen = time * KINDS + torch.cat(tags, dim=1)
        size = (film.shape[2], film.shape[3] // PATCH, film.shape[4] // PATCH)
        sparse = inputs.sparse
        plan = None if sparse is None else sparse.plan(hidden.shape[1], size, float(timestep[0]))
        for number, block in enumerate(self.blocks):
            is_dense = sparse is None or number in sparse.dense
            hidden = block(hidden, read, chosen, angles, None if is_dense else plan)
        made = len(places.sound) + len(places.film)
        sound_made, film_made = self.final_layer(hidden[:, -made:], read, time[:, -made:], len(places.sound))
        pace = sound_pace(timestep, inputs.sigmas, inputs.shifts)[:, None, None, None, None]
        film_velocity = as_film(film_made.float(), film.shape)
        sound_velocity = as_sound(sound_made.float(), sound.shape)
        return NestedTensor([-film_velocity, -sound_velocity * pace])

    def _read_times(self, sigma: torch.Tensor, shifts: tuple[float, float], dtype: torch.dtype) -> torch.Tensor:
        """What the modulation layers read of each timestep, ``[B, times, width]``."""
        film = 1 - sigma
        times = [film, 1 - sound_level(sigma, shifts), film.clamp(min=GUIDED), torch.ones_like(sigma)]
        wanted = torch.stack(times, dim=1)
        if self.shape.table:
            place = wanted.clamp(0, 1) * (self.shape.table - 1)
            low = place.floor().long().clamp(max=max(self.shape.table - 2, 0))
            part = (place - low)[..., None].to(dtype)
            return torch.lerp(
                self.adaln_t_table[low], self.adaln_t_table[(low + 1).clamp(max=self.shape.table - 1)], part
            )
        features = spread(wanted.flatten(), TIME_FEATURES, factor=1.0).to(dtype)
        embedded = self.time_embedder["proj_out"](functional.silu(self.time_embedder["proj_in"](features)))
        read: torch.Tensor = functional.silu(embedded).reshape(*wanted.shape, -1)
        return read


def film_rows(film: torch.Tensor) -> torch.Tensor:
    """``[B, C, frames, h, w]`` to ``[B, frames * h / 2 * w / 2, C * 4]``."""
    batch, channels, frames, height, width = film.shape
    squares = film.reshape(batch, channels, frames, height // PATCH, PATCH, width // PATCH, PATCH)
    return squares.permute(0, 2, 3, 5, 1, 4, 6).reshape(batch, -1, channels * PATCH**2)


def as_film(rows: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """The inverse of :func:`film_rows`."""
    batch, channels, frames, height, width = shape
    squares = rows.reshape(batch, frames, height // PATCH, width // PATCH, channels, PATCH, PATCH)
    return squares.permute(0, 4, 1, 2, 5, 3, 6).reshape(shape)


def sound_rows(sound: torch.Tensor) -> torch.Tensor:
    """``[B, C, positions, 1, 2]`` to ``[B, 2 * positions, C]``, the left channel first."""
    return sound[:, :, :, 0].permute(0, 3, 2, 1).flatten(1, 2)


def as_sound(rows: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """The inverse of :func:`sound_rows`."""
    return rows.reshape(shape[0], 2, shape[2], shape[1]).permute(0, 3, 2, 1)[:, :, :, None]


def _angles(positions: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines of the first features of a head: those of time, height and width, twice."""
    steps = torch.arange(FREQUENCIES, dtype=torch.float32, device=positions.device)
    angles = (positions.float()[..., None] / THETA ** (steps / FREQUENCIES)).flatten(1)
    both = torch.cat((angles, angles), dim=-1)
    return both.cos().to(dtype), both.sin().to(dtype)


class _Norm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.rms_norm(x, self.weight.shape, self.weight, EPSILON)


class _Attention(nn.Module):
    def __init__(self, shape: H3Shape) -> None:
        super().__init__()
        inner = shape.heads * shape.head_width
        self.heads = shape.heads
        self.qkv_proj = Linear(shape.width, 3 * inner, bias=False)
        self.q_norm, self.k_norm = _Norm(shape.head_width), _Norm(shape.head_width)
        self.out_proj = Linear(inner, shape.width, bias=False)

    def forward(
        self, x: torch.Tensor, angles: tuple[torch.Tensor, torch.Tensor] | None, plan: Plan | None = None
    ) -> torch.Tensor:
        q, k, v = (split_heads(part, self.heads) for part in self.qkv_proj(x).chunk(3, dim=-1))
        q, k = self.q_norm(q), self.k_norm(k)
        if angles is not None:
            q, k = rotated(q, angles), rotated(k, angles)
        attended = functional.scaled_dot_product_attention(q, k, v) if plan is None else plan.attend(q, k, v)
        result: torch.Tensor = self.out_proj(attended.transpose(1, 2).flatten(-2))
        return result


class _FeedForward(nn.Module):
    """The first matrix has the gate, then the input."""

    def __init__(self, shape: H3Shape) -> None:
        super().__init__()
        self.fc1 = Linear(shape.width, 2 * shape.feed_forward, bias=False)
        self.fc2 = Linear(shape.feed_forward, shape.width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate, up = self.fc1(x).chunk(2, dim=-1)
        result: torch.Tensor = self.fc2(functional.silu(gate) * up)
        return result


class _Block(nn.Module):
    def __init__(self, shape: H3Shape) -> None:
        super().__init__()
        self.norm1, self.norm2 = _Norm(shape.width), _Norm(shape.width)
        self.attn = _Attention(shape)
        self.mlp = _FeedForward(shape)


class _PlainBlock(_Block):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.norm1(x), None)
        result: torch.Tensor = x + self.mlp(self.norm2(x))
        return result


class _Refiner(nn.Module):
    def __init__(self, shape: H3Shape) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_PlainBlock(shape) for _ in range(shape.refining))
        self.final_norm = _Norm(shape.width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        result: torch.Tensor = self.final_norm(x)
        return result


class _Projection(nn.Module):
    def __init__(self, features: int, out: int) -> None:
        super().__init__()
        self.linear = Linear(features, out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.linear(x)
        return result


class _ModulatedBlock(_Block):
    def __init__(self, shape: H3Shape) -> None:
        super().__init__(shape)
        self.adaln_proj = _Projection(shape.time_width, 6 * KINDS * shape.width)
        self.width = shape.width

    def forward(
        self,
        x: torch.Tensor,
        read: torch.Tensor,
        chosen: torch.Tensor,
        angles: tuple[torch.Tensor, torch.Tensor],
        plan: Plan | None,
    ) -> torch.Tensor:
        """``read [B, times, features]``; ``chosen [B, rows]``: which modulation each row has, by time and kind."""
        tables = self.adaln_proj(read).reshape(len(read), -1, 6, self.width).unbind(2)
        shift, scale, gate, feed_shift, feed_scale, feed_gate = tables
        normed = self.norm1(x) * (1 + _of_rows(scale, chosen)) + _of_rows(shift, chosen)
        x = x + _of_rows(gate, chosen) * self.attn(normed, angles, plan)
        normed = self.norm2(x) * (1 + _of_rows(feed_scale, chosen)) + _of_rows(feed_shift, chosen)
        result: torch.Tensor = x + _of_rows(feed_gate, chosen) * self.mlp(normed)
        return result


class _FinalLayer(nn.Module):
    def __init__(self, shape: H3Shape) -> None:
        super().__init__()
        self.norm = _Norm(shape.width)
        self.adaln_proj = _Projection(shape.time_width, 2 * shape.width)
        self.video_out = Linear(shape.width, shape.channels * PATCH**2)
        self.audio_out = Linear(shape.width, shape.sound_channels)

    def forward(
        self, x: torch.Tensor, read: torch.Tensor, time: torch.Tensor, sounds: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The rows of the sound, which come first, and of the film."""
        shift, scale = self.adaln_proj(read).chunk(2, dim=-1)
        normed = self.norm(x) * (1 + _of_rows(scale, time)) + _of_rows(shift, time)
        return self.audio_out(normed[:, :sounds]), self.video_out(normed[:, sounds:])


def _of_rows(table: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """``table [B, entries, width]`` and ``chosen [B, rows]`` to ``[B, rows, width]``."""
    return table.gather(1, chosen[..., None].expand(-1, -1, table.shape[-1]))
