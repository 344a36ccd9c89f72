"""The transformer of FLUX.3 Image klein (Black Forest Labs 2026), under the names of its files; the reference is
diffusers' class.

Text, the picture and reference pictures first pass blocks of their own, in which each attends to itself, then blocks in
which all attend to all. Text and references are modulated as at timestep 0. The distilled model is a flow map: it also
knows the level that a step ends at.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from safelight.models.inputs import Inputs
from safelight.models.language.architecture import layer_count
from safelight.models.network_hooks import NetworkHooks
from safelight.models.operations import Linear
from safelight.models.transformer.attention import attend, split_heads
from safelight.models.transformer.embeddings import TwoLayers, spread
from safelight.models.transformer.modulation import ModulatedOutput, Modulation, ModulationLayer
from safelight.models.transformer.normalization import QueryKeyNorm
from safelight.models.transformer.patches import Patches, from_patches, in_patches
from safelight.models.transformer.rotary import rotations

MARK = "early_stream_modulations.image.lin.weight"
AXES = (32, 32, 32, 32)
"""Features of a head for time, rows, columns, and the place in the text."""
THETA = 10_000.0
SPACE = 0.5
"""A row or a column on its axis."""
TIME_FEATURES = 256
PICTURE, REFERENCE, TEXT = "image", "image_cond", "txt"


@dataclass(frozen=True)
class Flux3Shape:
    """The network as its weights show it. ``apart``: blocks in which each attends to itself. ``is_flow_map``: whether
    it knows where a step ends."""

    channels: int
    reference_channels: int
    context: int
    width: int
    inner: int
    apart: int
    joint: int
    is_flow_map: bool

    @property
    def heads(self) -> int:
        return self.width // sum(AXES)


def flux3_shape(shapes: Mapping[str, torch.Size]) -> Flux3Shape:
    """Raises :class:`KeyError` if a weight is missing."""
    width, channels = shapes["emb_in.image.weight"]
    return Flux3Shape(
        channels=channels,
        reference_channels=shapes["emb_in.image_cond.weight"][1],
        context=shapes["txt_in.weight"][1],
        width=width,
        inner=shapes["single_blocks.0.mlp_out.weight"][1],
        apart=layer_count(shapes, "txt_mode_blocks"),
        joint=layer_count(shapes, "single_blocks"),
        is_flow_map="ref_time_in.in_layer.weight" in shapes,
    )


@dataclass(frozen=True, eq=False)
class Flux3Inputs(Inputs):
    """``context [B, tokens, features]``; ``references [B, C, h', w']``; ``sigmas``: the noise levels of the run."""

    context: torch.Tensor
    references: tuple[torch.Tensor, ...] = ()
    sigmas: tuple[float, ...] = ()


@dataclass(frozen=True)
class Flux3Architecture:
    shape: Flux3Shape

    def build(self) -> "Flux3":
        return Flux3(self.shape)


class Flux3(nn.Module):
    def __init__(self, shape: Flux3Shape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.width
        self.time_in = TwoLayers(TIME_FEATURES, width, bias=False)
        if shape.is_flow_map:
            self.ref_time_in = TwoLayers(TIME_FEATURES, width, bias=False)
        channels = {PICTURE: shape.channels, REFERENCE: shape.reference_channels}
        self.emb_in = nn.ModuleDict({name: Linear(count, width, bias=False) for name, count in channels.items()})
        self.txt_in = Linear(shape.context, width, bias=False)
        kinds = (PICTURE, REFERENCE, TEXT)
        self.early_stream_modulations = nn.ModuleDict({name: ModulationLayer(width, 1, bias=False) for name in kinds})
        self.single_stream_modulations = nn.ModuleDict({name: ModulationLayer(width, 1, bias=False) for name in kinds})
        self.content_mode_blocks = nn.ModuleDict({name: _blocks(shape, shape.apart) for name in channels})
        self.txt_mode_blocks = _blocks(shape, shape.apart)
        self.single_blocks = _blocks(shape, shape.joint)
        self.final_layer = nn.ModuleDict({PICTURE: ModulatedOutput(width, shape.channels, bias=False)})

    def forward(
        self,
        x: torch.Tensor,
        timestep: torch.Tensor,
        inputs: Flux3Inputs,
        *,
        control: Any = None,
        hooks: NetworkHooks | None = None,
    ) -> torch.Tensor:
        """See :class:`safelight.models.network.Predict`; ``timestep`` is the noise level. Computes in the type of the
        weights."""
        block: Any = self.single_blocks[0]
        dtype = block.norm.query_norm.scale.dtype  # norms are never quantised
        own = in_patches(x, 1)
        embedding = self.time_in(spread(timestep, TIME_FEATURES).to(dtype))
        still = self.time_in(spread(torch.zeros_like(timestep), TIME_FEATURES).to(dtype))
        if self.shape.is_flow_map:
            end = self.ref_time_in(spread(_following(timestep, inputs.sigmas), TIME_FEATURES).to(dtype))
            embedding, still = embedding + end, still + end
        text = self.txt_in(inputs.context.to(dtype))
        counted = torch.zeros(text.shape[1], len(AXES), device=x.device)
        counted[:, 3] = torch.arange(text.shape[1], device=x.device)
        picture = self.emb_in[PICTURE](own.tokens.to(dtype))
        streams = [(TEXT, text, counted, still), (PICTURE, picture, _grid(own, 0, x.device), embedding)]
        if inputs.references:
            cut = [in_patches(one, 1) for one in inputs.references]
            tokens = self.emb_in[REFERENCE](torch.cat([one.tokens for one in cut], dim=1).to(dtype))
            places = torch.cat([_grid(one, -1 - number, x.device) for number, one in enumerate(cut)])
            streams.append((REFERENCE, tokens, places, still))

        parts, modulations, positions = [], [], []
        for kind, tokens, places, level in streams:
            turns = rotations(places[None], AXES, theta=THETA)
            (early,) = self.early_stream_modulations[kind](level)
            blocks: Any = self.txt_mode_blocks if kind == TEXT else self.content_mode_blocks[kind]
            for layer in blocks:
                tokens = layer(tokens, early, turns)
            (joint,) = self.single_stream_modulations[kind](level)
            parts.append(tokens)
            modulations.append(Modulation(*(part.expand(-1, tokens.shape[1], -1) for part in joint)))
            positions.append(places)
        hidden = torch.cat(parts, dim=1)
        whole = Modulation(*(torch.cat(parts, dim=1) for parts in zip(*modulations, strict=True)))
        turns = rotations(torch.cat(positions)[None], AXES, theta=THETA)
        for layer in self.single_blocks:
            hidden = layer(hidden, whole, turns)
        length = text.shape[1]
        last: Any = self.final_layer[PICTURE]
        made = last(hidden[:, length : length + picture.shape[1]], *last.shift_and_scale(embedding))
        return from_patches(made, 1, rows=own.rows, columns=own.columns).float()


def _following(sigma: torch.Tensor, sigmas: tuple[float, ...]) -> torch.Tensor:
    """Where the step from ``sigma`` ends: at the next level of the run."""
    ends = [max([0.0, *(one for one in sigmas if one < float(now) - 1e-6)]) for now in sigma]
    return torch.tensor(ends).to(sigma)


def _grid(patches: Patches, place: int, device: torch.device) -> torch.Tensor:
    """Positions ``[tokens, axes]``; ``place``: 0 for the picture, -1 and below for references."""
    made = torch.zeros(patches.rows, patches.columns, len(AXES), device=device)
    made[..., 1] = (torch.arange(patches.rows, device=device) * SPACE)[:, None]
    made[..., 2] = torch.arange(patches.columns, device=device) * SPACE
    made[..., 3] = place
    return made.flatten(0, 1)


def _blocks(shape: Flux3Shape, count: int) -> nn.ModuleList:
    return nn.ModuleList(_Block(shape) for _ in range(count))


class _Block(nn.Module):
    """Attention and a gated feed-forward layer side by side."""

    def __init__(self, shape: Flux3Shape) -> None:
        super().__init__()
        width = shape.width
        self.heads = shape.heads
        self.q_proj = Linear(width, width, bias=False)
        self.k_proj = Linear(width, width, bias=False)
        self.v_proj = Linear(width, width, bias=False)
        self.attn_out = Linear(width, width, bias=False)
        self.norm = QueryKeyNorm(sum(AXES))
        self.mlp_in = Linear(width, 2 * shape.inner, bias=False)
        self.mlp_out = Linear(shape.inner, width, bias=False)

    def forward(self, x: torch.Tensor, modulation: Modulation, turns: torch.Tensor) -> torch.Tensor:
        normed = modulation.normed(x)
        q, k, v = (split_heads(layer(normed), self.heads) for layer in (self.q_proj, self.k_proj, self.v_proj))
        q, k = self.norm(q, k)
        gate, up = self.mlp_in(normed).chunk(2, dim=-1)
        attended = self.attn_out(attend(q, k, v, turns=turns))
        return modulation.added(x, attended + self.mlp_out(functional.silu(gate) * up))
