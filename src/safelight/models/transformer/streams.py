"""Transformer blocks over text and picture (Esser et al., "Scaling Rectified Flow Transformers", 2024; Flux): in two
streams with weights of their own and one attention, then in a single one with attention and MLP side by side.

Every forward pass gets its modulations, because some networks compute them in each block and others once for all.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from safelight.models.operations import Linear
from safelight.models.transformer.attention import attend, split_heads
from safelight.models.transformer.modulation import ModulationLayer, Modulations
from safelight.models.transformer.normalization import QueryKeyNorm


@dataclass(frozen=True, slots=True)
class StreamShape:
    """``inner``: features inside of the MLP. ``is_gated``: the MLP's first half is a gate (SwiGLU) instead of GELU.
    ``modulates``: each block has modulation layers."""

    width: int
    heads: int
    inner: int
    is_gated: bool = False
    qkv_bias: bool = True
    bias: bool = True
    modulates: bool = True


def stream_shape(shapes: Mapping[str, torch.Size], width: int) -> StreamShape:
    """Read the shape off the weights. Raises :class:`KeyError` with the name that is missing."""
    first = "double_blocks.0."
    inner = shapes[f"{first}img_mlp.2.weight"][1]
    return StreamShape(
        width=width,
        heads=width // shapes[f"{first}img_attn.norm.query_norm.scale"][0],
        inner=inner,
        is_gated=shapes[f"{first}img_mlp.0.weight"][0] == 2 * inner,
        qkv_bias=f"{first}img_attn.qkv.bias" in shapes,
        bias=f"{first}img_attn.proj.bias" in shapes,
        modulates=f"{first}img_mod.lin.weight" in shapes,
    )


class Gate(nn.Module):
    """SiLU of the first half, times the second (Shazeer, "GLU Variants Improve Transformer", 2020)."""

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        gate, value = hidden.chunk(2, dim=-1)
        return functional.silu(gate) * value


class DoubleBlock(nn.Module):
    """One block of the two streams; ``img_`` is the picture, ``txt_`` the text."""

    def __init__(self, shape: StreamShape) -> None:
        super().__init__()
        if shape.modulates:
            self.img_mod = ModulationLayer(shape.width, 2)
            self.txt_mod = ModulationLayer(shape.width, 2)
        self.img_attn = _Projections(shape)
        self.txt_attn = _Projections(shape)
        self.img_mlp = _mlp(shape)
        self.txt_mlp = _mlp(shape)

    def forward(
        self,
        picture: torch.Tensor,
        text: torch.Tensor,
        *,
        picture_modulations: Modulations,
        text_modulations: Modulations,
        turns: torch.Tensor,
        mask: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        of_picture, of_text = picture_modulations, text_modulations
        told, seen = self.txt_attn(of_text[0].normed(text)), self.img_attn(of_picture[0].normed(picture))
        q, k, v = (torch.cat(pair, dim=2) for pair in zip(told, seen, strict=True))
        attended = attend(q, k, v, turns=turns, mask=mask)
        length = text.shape[1]
        picture = of_picture[0].added(picture, self.img_attn.proj(attended[:, length:]))
        picture = of_picture[1].added(picture, self.img_mlp(of_picture[1].normed(picture)))
        text = of_text[0].added(text, self.txt_attn.proj(attended[:, :length]))
        text = of_text[1].added(text, self.txt_mlp(of_text[1].normed(text)))
        return picture, text


class SingleBlock(nn.Module):
    """One block of the single stream, text before picture. ``linear1`` is query, key, value and the MLP's first layer;
    ``linear2`` takes the attention's result and the MLP's inside (Dehghani et al., "Scaling Vision Transformers to 22
    Billion Parameters", 2023)."""

    def __init__(self, shape: StreamShape) -> None:
        super().__init__()
        self.heads = shape.heads
        first = 2 * shape.inner if shape.is_gated else shape.inner
        self.sizes = [3 * shape.width, first]
        self.linear1 = Linear(shape.width, sum(self.sizes), bias=shape.bias)
        self.linear2 = Linear(shape.width + shape.inner, shape.width, bias=shape.bias)
        self.norm = QueryKeyNorm(shape.width // shape.heads)
        self.activation = _activation(shape)
        if shape.modulates:
            self.modulation = ModulationLayer(shape.width, 1)

    def forward(
        self, hidden: torch.Tensor, *, modulations: Modulations, turns: torch.Tensor, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        (modulation,) = modulations
        projected, inner = self.linear1(modulation.normed(hidden)).split(self.sizes, dim=-1)
        q, k, v = (split_heads(part, self.heads) for part in projected.chunk(3, dim=-1))
        q, k = self.norm(q, k)
        attended = attend(q, k, v, turns=turns, mask=mask)
        return modulation.added(hidden, self.linear2(torch.cat((attended, self.activation(inner)), dim=-1)))


class _Projections(nn.Module):
    def __init__(self, shape: StreamShape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.qkv = Linear(shape.width, 3 * shape.width, bias=shape.qkv_bias)
        self.norm = QueryKeyNorm(shape.width // shape.heads)
        self.proj = Linear(shape.width, shape.width, bias=shape.bias)

    def forward(self, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries, keys and values by head."""
        q, k, v = (split_heads(part, self.heads) for part in self.qkv(hidden).chunk(3, dim=-1))
        return *self.norm(q, k), v


def _mlp(shape: StreamShape) -> nn.Sequential:
    first = 2 * shape.inner if shape.is_gated else shape.inner
    return nn.Sequential(
        Linear(shape.width, first, bias=shape.bias),
        _activation(shape),
        Linear(shape.inner, shape.width, bias=shape.bias),
    )


def _activation(shape: StreamShape) -> nn.Module:
    return Gate() if shape.is_gated else nn.GELU(approximate="tanh")
