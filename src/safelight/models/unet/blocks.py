"""The parts of a UNet, with their modules named as in the files of latent diffusion (Rombach et al. 2022).

Feature maps are ``[B, C, h, w]``, tokens ``[B, h * w, C]``; ``embedding`` is ``[B, E]``, ``context`` ``[B, N,
features]``.
"""

from dataclasses import dataclass, field, replace

import torch
from torch import nn
from torch.nn import functional

from safelight.models.network_hooks import Attend, Attention, AttentionHook, BlockIndex
from safelight.models.operations import Conv2d, Linear


@dataclass(frozen=True, eq=False)
class BlockInputs:
    """The inputs of a transformer block besides its tokens."""

    context: torch.Tensor
    block: BlockIndex
    size: tuple[int, int]
    full: tuple[int, int]
    hooks: tuple[AttentionHook, ...] = field(default=())


class Residual(nn.Module):
    """Two convolutions; the timestep embedding is added between them (Ho et al. 2020, appendix B)."""

    def __init__(self, channels: int, out: int, *, embedding: int, groups: int) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(nn.GroupNorm(groups, channels), nn.SiLU(), Conv2d(channels, out, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), Linear(embedding, out))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(groups, out), nn.SiLU(), nn.Identity(), Conv2d(out, out, 3, padding=1)
        )
        self.skip_connection = nn.Identity() if channels == out else Conv2d(channels, out, 1)

    def forward(self, hidden: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        inner = self.in_layers(hidden) + self.emb_layers(embedding)[:, :, None, None]
        result: torch.Tensor = self.skip_connection(hidden) + self.out_layers(inner)
        return result


class CrossAttention(nn.Module):
    """Attention of tokens to those of a context, or to themselves."""

    def __init__(self, inner: int, context: int, *, heads: int, is_self: bool) -> None:
        super().__init__()
        self.to_q = Linear(inner, inner, bias=False)
        self.to_k = Linear(context, inner, bias=False)
        self.to_v = Linear(context, inner, bias=False)
        self.to_out = nn.Sequential(Linear(inner, inner))
        self.heads = heads
        self.is_self = is_self

    def forward(self, hidden: torch.Tensor, inputs: BlockInputs) -> torch.Tensor:
        context = hidden if self.is_self else inputs.context
        q, k, v = self.to_q(hidden), self.to_k(context), self.to_v(context)
        attention = Attention(q, k, v, hidden, self.heads, inputs.block, inputs.size, inputs.full, self.is_self)
        result: torch.Tensor = self.to_out(hooked(inputs.hooks)(attention))
        return result


def hooked(hooks: tuple[AttentionHook, ...]) -> Attend:
    """Attention wrapped in the hooks, the first of them outermost."""
    if not hooks:
        return attend
    first, rest = hooks[0], hooked(hooks[1:])
    return lambda attention: first(attention, rest)


def attend(attention: Attention) -> torch.Tensor:
    """``softmax(q k^T / sqrt(width)) v`` for each head (Vaswani et al. 2017)."""
    q, k, v = (
        tokens.reshape(*tokens.shape[:2], attention.heads, -1).transpose(1, 2)
        for tokens in (attention.q, attention.k, attention.v)
    )
    return functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


class GatedProjection(nn.Module):
    """GEGLU (Shazeer 2020)."""

    def __init__(self, inner: int, width: int) -> None:
        super().__init__()
        self.proj = Linear(inner, 2 * width)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        value, gate = self.proj(hidden).chunk(2, dim=-1)
        result: torch.Tensor = value * functional.gelu(gate)
        return result


class FeedForward(nn.Module):
    def __init__(self, inner: int) -> None:
        super().__init__()
        self.net = nn.Sequential(GatedProjection(inner, 4 * inner), nn.Identity(), Linear(4 * inner, inner))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.net(hidden)
        return result


class TransformerBlock(nn.Module):
    def __init__(self, inner: int, context: int, *, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(inner)
        self.attn1 = CrossAttention(inner, inner, heads=heads, is_self=True)
        self.norm2 = nn.LayerNorm(inner)
        self.attn2 = CrossAttention(inner, context, heads=heads, is_self=False)
        self.norm3 = nn.LayerNorm(inner)
        self.ff = FeedForward(inner)

    def forward(self, hidden: torch.Tensor, inputs: BlockInputs) -> torch.Tensor:
        hidden = hidden + self.attn1(self.norm1(hidden), inputs)
        hidden = hidden + self.attn2(self.norm2(hidden), inputs)
        result: torch.Tensor = hidden + self.ff(self.norm3(hidden))
        return result


class Transformer(nn.Module):
    """Transformer blocks over the pixels of a feature map."""

    def __init__(
        self, channels: int, inner: int, *, depth: int, context: int, heads: int, groups: int, is_linear: bool
    ) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, eps=1e-6)
        self.proj_in = Linear(channels, inner) if is_linear else Conv2d(channels, inner, 1)
        self.transformer_blocks = nn.ModuleList(TransformerBlock(inner, context, heads=heads) for _ in range(depth))
        self.proj_out = Linear(inner, channels) if is_linear else Conv2d(inner, channels, 1)
        self.is_linear = is_linear

    def forward(self, hidden: torch.Tensor, inputs: BlockInputs) -> torch.Tensor:
        size = (hidden.shape[2], hidden.shape[3])
        inner = self.norm(hidden)
        tokens = self.proj_in(_tokens(inner)) if self.is_linear else _tokens(self.proj_in(inner))
        for index, transformer_block in enumerate(self.transformer_blocks):
            block = replace(inputs.block, transformer=index)
            tokens = transformer_block(tokens, replace(inputs, block=block, size=size))
        out = _pixels(self.proj_out(tokens), size) if self.is_linear else self.proj_out(_pixels(tokens, size))
        result: torch.Tensor = hidden + out
        return result


class Down(nn.Module):
    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.op = Conv2d(channels, out, 3, stride=2, padding=1)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.op(hidden)
        return result


class Up(nn.Module):
    """Scale up to the size of the next skip, which is not exactly twice its own if a side was odd."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv = Conv2d(channels, out, 3, padding=1)

    def forward(self, hidden: torch.Tensor, size: tuple[int, int] | None = None) -> torch.Tensor:
        wanted = size or (2 * hidden.shape[2], 2 * hidden.shape[3])
        result: torch.Tensor = self.conv(functional.interpolate(hidden, size=wanted, mode="nearest"))
        return result


def _tokens(pixels: torch.Tensor) -> torch.Tensor:
    return pixels.flatten(2).transpose(1, 2)


def _pixels(tokens: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return tokens.transpose(1, 2).reshape(tokens.shape[0], tokens.shape[2], *size)
