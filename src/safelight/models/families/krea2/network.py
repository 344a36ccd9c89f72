"""The transformer of Krea 2, under the names of its files; the reference is diffusers' class.

A token of text comes with the states of several layers of its encoder. A small transformer fuses them: it attends among
the layers of each token, mixes them, then attends among the tokens. Text and picture are one sequence, text first, and
all blocks share one modulation by the timestep, to which each adds a table of its own.
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
from safelight.models.transformer.embeddings import spread
from safelight.models.transformer.patches import from_patches, grid_positions, in_patches
from safelight.models.transformer.rotary import rotations

PATCH = 2
"""Latent pixels per side of a token."""
TIME_FEATURES = 256
EPSILON = 1e-5
AXES = (32, 48, 48)
"""Features of a head for each axis of positions; the first is not used by pictures."""
THETA = 1000.0
FUSED = "txtfusion.projector.weight"


@dataclass(frozen=True)
class BlockShape:
    """Of a transformer block."""

    width: int
    heads: int
    key_heads: int
    feed_forward: int


@dataclass(frozen=True)
class Krea2Shape:
    """The network as its weights show it. ``text_layers``: states of each token of text."""

    channels: int
    block: BlockShape
    text: BlockShape
    layers: int
    text_layers: int
    fusing: int
    refining: int

    @property
    def text_features(self) -> int:
        return self.text_layers * self.text.width


def krea2_shape(shapes: Mapping[str, torch.Size]) -> Krea2Shape:
    """Raises :class:`KeyError` if a weight is missing."""
    return Krea2Shape(
        channels=shapes["first.weight"][1] // PATCH**2,
        block=_block_shape(shapes, "blocks.0"),
        text=_block_shape(shapes, "txtfusion.refiner_blocks.0"),
        layers=layer_count(shapes, "blocks"),
        text_layers=shapes[FUSED][1],
        fusing=layer_count(shapes, "txtfusion.layerwise_blocks"),
        refining=layer_count(shapes, "txtfusion.refiner_blocks"),
    )


def _block_shape(shapes: Mapping[str, torch.Size], block: str) -> BlockShape:
    rows, width = shapes[f"{block}.attn.wq.weight"]
    head_width = shapes[f"{block}.attn.qknorm.qnorm.scale"][0]
    keys = shapes[f"{block}.attn.wk.weight"][0] // head_width
    return BlockShape(width, rows // head_width, keys, shapes[f"{block}.mlp.gate.weight"][0])


@dataclass(frozen=True, eq=False)
class Krea2Inputs(Inputs):
    """``context [B, tokens, states * features]``; ``mask [B, tokens]`` is 0 for tokens to ignore, or ``None``."""

    context: torch.Tensor
    mask: torch.Tensor | None = None


@dataclass(frozen=True)
class Krea2Architecture:
    shape: Krea2Shape

    def build(self) -> "Krea2":
        return Krea2(self.shape)


class Krea2(nn.Module):
    def __init__(self, shape: Krea2Shape) -> None:
        super().__init__()
        self.shape = shape
        width, text = shape.block.width, shape.text.width
        self.first = Linear(shape.channels * PATCH**2, width)
        self.tmlp = nn.ModuleList([Linear(TIME_FEATURES, width), nn.Identity(), Linear(width, width)])
        self.tproj = nn.ModuleList([nn.Identity(), Linear(width, 6 * width)])
        self.txtfusion = _Fusion(shape)
        self.txtmlp = nn.ModuleList([_Norm(text), Linear(text, width), nn.Identity(), Linear(width, width)])
        self.blocks = nn.ModuleList(_ModulatedBlock(shape.block) for _ in range(shape.layers))
        self.last = _Last(width, shape.channels * PATCH**2)

    def forward(
        self,
        x: torch.Tensor,
        timestep: torch.Tensor,
        inputs: Krea2Inputs,
        *,
        control: Any = None,
        hooks: NetworkHooks | None = None,
    ) -> torch.Tensor:
        """See :class:`safelight.models.network.Predict`; ``x [B, C, frames, h, w]``, each frame a picture of its own;
        ``timestep`` is the noise level. Computes in the type of the weights."""
        dtype, frames = self.first.bias.dtype, x.shape[2]
        planes = x.transpose(1, 2).flatten(0, 1)
        context, mask = inputs.context.to(dtype), inputs.mask
        allowed = None if mask is None else mask.to(torch.bool)[:, None, None]
        text = self.txtfusion(context.reshape(len(context), -1, self.shape.text_layers, self.shape.text.width), allowed)
        text = self.txtmlp[3](_gelu(self.txtmlp[1](self.txtmlp[0](text)))).repeat_interleave(frames, dim=0)
        embedding = spread(timestep, TIME_FEATURES).to(dtype)
        embedding = self.tmlp[2](_gelu(self.tmlp[0](embedding))).repeat_interleave(frames, dim=0)[:, None]
        modulation = self.tproj[1](_gelu(embedding))
        patches = in_patches(planes, PATCH)
        length = text.shape[1]
        positions = grid_positions(patches.rows, patches.columns, axes=3, device=x.device)
        turns = rotations(torch.cat((positions.new_zeros(length, 3), positions))[None], AXES, theta=THETA)
        if allowed is not None:
            everywhere = allowed.new_ones(*allowed.shape[:3], patches.tokens.shape[1])
            allowed = torch.cat((allowed, everywhere), dim=-1).repeat_interleave(frames, dim=0)
        joined = torch.cat((text, self.first(patches.tokens.to(dtype))), dim=1)
        for block in self.blocks:
            joined = block(joined, modulation, turns, allowed)
        made = self.last(joined[:, length:], embedding)
        output = from_patches(made, PATCH, rows=patches.rows, columns=patches.columns)
        output = output[..., : x.shape[-2], : x.shape[-1]].float()
        return output.reshape(len(x), frames, *output.shape[1:]).transpose(1, 2)


class _Norm(nn.Module):
    """An RMS norm; ``scale`` is a distance from 1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.empty(width))
        self.adds_one = True

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.rms_norm(x, self.scale.shape, self.scale + 1.0, EPSILON)


class _HeadNorms(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.qnorm, self.knorm = _Norm(width), _Norm(width)


class _Attention(nn.Module):
    """With a gate for each feature of its result."""

    def __init__(self, shape: BlockShape) -> None:
        super().__init__()
        head_width = shape.width // shape.heads
        self.heads, self.key_heads = shape.heads, shape.key_heads
        self.wq = Linear(shape.width, shape.width, bias=False)
        self.wk = Linear(shape.width, shape.key_heads * head_width, bias=False)
        self.wv = Linear(shape.width, shape.key_heads * head_width, bias=False)
        self.gate = Linear(shape.width, shape.width, bias=False)
        self.wo = Linear(shape.width, shape.width, bias=False)
        self.qknorm = _HeadNorms(head_width)

    def forward(self, x: torch.Tensor, turns: torch.Tensor | None, mask: torch.Tensor | None) -> torch.Tensor:
        q = self.qknorm.qnorm(split_heads(self.wq(x), self.heads))
        k = self.qknorm.knorm(split_heads(self.wk(x), self.key_heads))
        attended = attend(q, k, split_heads(self.wv(x), self.key_heads), turns=turns, mask=mask)
        result: torch.Tensor = self.wo(attended * self.gate(x).sigmoid())
        return result


class _FeedForward(nn.Module):
    def __init__(self, shape: BlockShape) -> None:
        super().__init__()
        self.gate = Linear(shape.width, shape.feed_forward, bias=False)
        self.up = Linear(shape.width, shape.feed_forward, bias=False)
        self.down = Linear(shape.feed_forward, shape.width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.down(functional.silu(self.gate(x)) * self.up(x))
        return result


class _Block(nn.Module):
    def __init__(self, shape: BlockShape) -> None:
        super().__init__()
        self.prenorm, self.postnorm = _Norm(shape.width), _Norm(shape.width)
        self.attn = _Attention(shape)
        self.mlp = _FeedForward(shape)


class _PlainBlock(_Block):
    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        x = x + self.attn(self.prenorm(x), None, mask)
        result: torch.Tensor = x + self.mlp(self.postnorm(x))
        return result


class _Table(nn.Module):
    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.lin = nn.Parameter(torch.empty(*shape))


class _ModulatedBlock(_Block):
    def __init__(self, shape: BlockShape) -> None:
        super().__init__(shape)
        self.mod = _Table(6 * shape.width)

    def forward(
        self, x: torch.Tensor, modulation: torch.Tensor, turns: torch.Tensor, mask: torch.Tensor | None
    ) -> torch.Tensor:
        scale, shift, gate, feed_scale, feed_shift, feed_gate = (modulation + self.mod.lin).chunk(6, dim=-1)
        x = x + gate * self.attn((1 + scale) * self.prenorm(x) + shift, turns, mask)
        result: torch.Tensor = x + feed_gate * self.mlp((1 + feed_scale) * self.postnorm(x) + feed_shift)
        return result


class _Fusion(nn.Module):
    def __init__(self, shape: Krea2Shape) -> None:
        super().__init__()
        self.layerwise_blocks = nn.ModuleList(_PlainBlock(shape.text) for _ in range(shape.fusing))
        self.projector = Linear(shape.text_layers, 1, bias=False)
        self.refiner_blocks = nn.ModuleList(_PlainBlock(shape.text) for _ in range(shape.refining))

    def forward(self, states: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """``states [B, tokens, states, width]`` to ``[B, tokens, width]``."""
        tokens = states.flatten(0, 1)
        for block in self.layerwise_blocks:
            tokens = block(tokens)
        fused = self.projector(tokens.transpose(1, 2))[..., 0].reshape(states.shape[0], states.shape[1], -1)
        for block in self.refiner_blocks:
            fused = block(fused, mask)
        result: torch.Tensor = fused
        return result


class _Last(nn.Module):
    def __init__(self, width: int, features: int) -> None:
        super().__init__()
        self.modulation = _Table(2, width)
        self.norm = _Norm(width)
        self.linear = Linear(width, features)

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        scale, shift = (embedding + self.modulation.lin).chunk(2, dim=1)
        result: torch.Tensor = self.linear((1 + scale) * self.norm(x) + shift)
        return result


def _gelu(x: torch.Tensor) -> torch.Tensor:
    return functional.gelu(x, approximate="tanh")
