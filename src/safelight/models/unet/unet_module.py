"""The UNet: down, through the middle, and up with the skips."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import nn

from safelight.models.inputs import SPATIAL, Inputs
from safelight.models.network_hooks import BlockHook, BlockIndex, Control, NetworkHooks, SkipHook
from safelight.models.operations import Conv2d, Linear
from safelight.models.unet.blocks import BlockInputs, Down, Residual, Transformer, Up
from safelight.models.unet.shape import (
    Block,
    ConvolutionShape,
    DownShape,
    Part,
    ResidualShape,
    TransformerShape,
    UNetShape,
    UpShape,
)


@dataclass(frozen=True)
class Heads:
    """The number of attention heads: either fixed, or as many as have this width."""

    count: int = 0
    width: int = 0

    def of(self, inner: int) -> int:
        return self.count or inner // self.width


@dataclass(frozen=True, eq=False)
class UNetInputs(Inputs):
    """``context [B, tokens, features]``; ``y [B, features]``, the pooled condition; ``concat [B, C', h, w]``, which is
    concatenated to the latent."""

    context: torch.Tensor
    y: torch.Tensor | None = None
    concat: torch.Tensor | None = field(default=None, metadata=SPATIAL)


@dataclass(frozen=True)
class UNetArchitecture:
    shape: UNetShape
    heads: Heads
    groups: int = 32

    def build(self) -> "UNet":
        return UNet(self.shape, heads=self.heads, groups=self.groups)


class UNet(nn.Module):
    """Its state has the names below ``model.diffusion_model.`` of a file in the original layout."""

    def __init__(self, shape: UNetShape, *, heads: Heads, groups: int = 32) -> None:
        super().__init__()
        self.channels = shape.channels
        self.time_embed = embedding_layers(shape.channels, shape.embedding)
        if shape.vector:
            self.label_emb = nn.Sequential(embedding_layers(shape.vector, shape.embedding))

        def block(parts: Block) -> nn.ModuleList:
            return block_of(parts, shape.embedding, heads, groups)

        self.input_blocks = nn.ModuleList(map(block, shape.inputs))
        self.middle_block = block(shape.middle)
        self.output_blocks = nn.ModuleList(map(block, shape.outputs))
        self.out = nn.Sequential(
            nn.GroupNorm(groups, shape.channels),
            nn.SiLU(),
            Conv2d(shape.channels, shape.out_channels, 3, padding=1),
        )

    def forward(
        self,
        x: torch.Tensor,
        timestep: torch.Tensor,
        inputs: UNetInputs,
        *,
        control: Control | None = None,
        hooks: NetworkHooks | None = None,
    ) -> torch.Tensor:
        """See :class:`safelight.models.network.Predict`; computes in the type of the weights."""
        dtype = next(self.parameters()).dtype
        control, hooks = control or Control(), hooks or NetworkHooks()
        embedding = self.time_embed(sinusoids(timestep, self.channels).to(dtype))
        if inputs.y is not None:
            embedding = embedding + self.label_emb(inputs.y.to(dtype))
        forward_pass = ForwardPass(embedding, inputs.context.to(dtype), hooks, (x.shape[2], x.shape[3]))
        hidden = x if inputs.concat is None else torch.cat((x, inputs.concat), dim=1)
        hidden = hidden.to(dtype)
        skips: list[torch.Tensor] = []
        for index, parts in enumerate(self.input_blocks):
            block = BlockIndex("input", index)
            hidden = _hooked(hooks.block, forward_pass.through(parts, hidden, block), block)
            hidden = _plus(hidden, control.inputs.get(index))
            skips.append(_plus(hidden, control.skips.get(index)))
            hidden = _hooked(hooks.after_skip, hidden, block)
        block = BlockIndex("middle", 0)
        hidden = _hooked(hooks.block, forward_pass.through(self.middle_block, hidden, block), block)
        hidden = _plus(hidden, control.middle)
        for index, parts in enumerate(self.output_blocks):
            block = BlockIndex("output", index)
            hidden, skip = _skipped(hooks.skip, hidden, skips.pop(), block)
            size = (skips[-1].shape[2], skips[-1].shape[3]) if skips else None
            hidden = forward_pass.through(parts, torch.cat((hidden, skip), dim=1), block, size)
            hidden = _hooked(hooks.block, hidden, block)
        result: torch.Tensor = self.out(hidden)
        return result.float()


@dataclass(frozen=True, eq=False)
class ForwardPass:
    """The inputs that are the same for all blocks of one forward pass."""

    embedding: torch.Tensor
    context: torch.Tensor
    hooks: NetworkHooks
    full: tuple[int, int]
    """Height and width of the latent."""

    def through(
        self, parts: nn.Module, hidden: torch.Tensor, block: BlockIndex, size: tuple[int, int] | None = None
    ) -> torch.Tensor:
        for part in parts.children():
            if isinstance(part, Residual):
                hidden = part(hidden, self.embedding)
            elif isinstance(part, Transformer):
                hidden = part(hidden, BlockInputs(self.context, block, self.full, self.full, self.hooks.attention))
            elif isinstance(part, Up):
                hidden = part(hidden, size)
            else:
                hidden = part(hidden)
        return hidden


def sinusoids(values: torch.Tensor, features: int, *, period: float = 10000.0) -> torch.Tensor:
    """Cosines, then sines, of ``values [B]`` at falling frequencies: ``[B, features]`` (Ho et al. 2020)."""
    half = features // 2
    frequencies = torch.exp(-math.log(period) * torch.arange(half, dtype=torch.float32, device=values.device) / half)
    angles = values[:, None].float() * frequencies[None]
    return torch.cat((angles.cos(), angles.sin()), dim=-1)


def embedding_layers(features: int, embedding: int) -> nn.Sequential:
    return nn.Sequential(Linear(features, embedding), nn.SiLU(), Linear(embedding, embedding))


def block_of(parts: Block, embedding: int, heads: Heads, groups: int) -> nn.ModuleList:
    return nn.ModuleList(_module(part, embedding, heads, groups) for part in parts)


def _module(part: Part, embedding: int, heads: Heads, groups: int) -> nn.Module:
    match part:
        case ResidualShape(channels, out):
            return Residual(channels, out, embedding=embedding, groups=groups)
        case TransformerShape(channels, inner, depth, context, is_linear):
            return Transformer(
                channels,
                inner,
                depth=depth,
                context=context,
                heads=heads.of(inner),
                groups=groups,
                is_linear=is_linear,
            )
        case DownShape(channels, out):
            return Down(channels, out)
        case UpShape(channels, out):
            return Up(channels, out)
        case ConvolutionShape(channels, out):
            return Conv2d(channels, out, 3, padding=1)


def _plus(hidden: torch.Tensor, residual: torch.Tensor | None) -> torch.Tensor:
    if residual is None:
        return hidden
    if residual.shape[0] != hidden.shape[0]:
        residual = residual.repeat(-(-hidden.shape[0] // residual.shape[0]), 1, 1, 1)[: hidden.shape[0]]
    return hidden + residual.to(hidden)


def _hooked(hooks: Iterable[BlockHook], hidden: torch.Tensor, block: BlockIndex) -> torch.Tensor:
    for hook in hooks:
        hidden = hook(hidden, block)
    return hidden


def _skipped(
    hooks: Iterable[SkipHook], hidden: torch.Tensor, skip: torch.Tensor, block: BlockIndex
) -> tuple[torch.Tensor, torch.Tensor]:
    for hook in hooks:
        hidden, skip = hook(hidden, skip, block)
    return hidden, skip
