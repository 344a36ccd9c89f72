"""The transformer of Stable Diffusion 3 (MMDiT; Esser et al., "Scaling Rectified Flow Transformers", 2024), built from
the shapes of its weights, under the names of the original files. In 3.5 medium, some blocks have a second attention
over the picture alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isqrt

import torch
from torch import nn
from torch.nn import functional

from safelight.models.inputs import Inputs
from safelight.models.network_hooks import Control, NetworkHooks
from safelight.models.operations import Linear
from safelight.models.transformer.additions import Additions
from safelight.models.transformer.attention import attend, split_heads
from safelight.models.transformer.embeddings import spread
from safelight.models.transformer.modulation import ModulatedOutput, Modulation
from safelight.models.transformer.patches import in_patches
from safelight.models.weights import count_blocks

HEAD_WIDTH = 64
NUMBER_FEATURES = 256


@dataclass(frozen=True, slots=True)
class MMDiTShape:
    """``grid``: the largest number of patches per side. ``second_attention``: the blocks that have one."""

    width: int
    channels: int
    out_channels: int
    patch: int
    context: int
    pooled: int
    inner: int
    grid: int
    blocks: int
    norms_heads: bool
    second_attention: frozenset[int] = field(default=frozenset())


def mmdit_shape(shapes: Mapping[str, torch.Size]) -> MMDiTShape:
    """Read the shape off the weights. Raises :class:`KeyError` with the name that is missing."""
    width, channels, patch = shapes["x_embedder.proj.weight"][:3]
    blocks = count_blocks(shapes, "joint_blocks")
    return MMDiTShape(
        width=width,
        channels=channels,
        out_channels=shapes["final_layer.linear.weight"][0] // patch**2,
        patch=patch,
        context=shapes["context_embedder.weight"][1],
        pooled=shapes["y_embedder.mlp.0.weight"][1] if "y_embedder.mlp.0.weight" in shapes else 0,
        inner=shapes["joint_blocks.0.x_block.mlp.fc1.weight"][0],
        grid=isqrt(shapes["pos_embed"][1]),
        blocks=blocks,
        norms_heads="joint_blocks.0.x_block.attn.ln_q.weight" in shapes,
        second_attention=frozenset(
            index for index in range(blocks) if f"joint_blocks.{index}.x_block.attn2.qkv.weight" in shapes
        ),
    )


@dataclass(frozen=True, eq=False)
class MMDiTInputs(Inputs):
    """``context [B, tokens, features]``; ``pooled [B, features]``."""

    context: torch.Tensor
    pooled: torch.Tensor | None = None


@dataclass(frozen=True)
class MMDiTArchitecture:
    shape: MMDiTShape

    def build(self) -> "MMDiT":
        return MMDiT(self.shape)


class MMDiT(nn.Module):
    def __init__(self, shape: MMDiTShape) -> None:
        super().__init__()
        self.shape = shape
        self.x_embedder = nn.ModuleDict({"proj": nn.Conv2d(shape.channels, shape.width, shape.patch, shape.patch)})
        self.pos_embed = nn.Parameter(torch.empty(1, shape.grid**2, shape.width))
        self.context_embedder = Linear(shape.context, shape.width)
        self.t_embedder = Embedder(NUMBER_FEATURES, shape.width)
        if shape.pooled:
            self.y_embedder = Embedder(shape.pooled, shape.width)
        self.joint_blocks = nn.ModuleList(_JointBlock(shape, index) for index in range(shape.blocks))
        self.final_layer = ModulatedOutput(shape.width, shape.out_channels * shape.patch**2)

    def forward(
        self,
        x: torch.Tensor,
        timestep: torch.Tensor,
        inputs: MMDiTInputs,
        *,
        control: Control | None = None,
        hooks: NetworkHooks | None = None,
    ) -> torch.Tensor:
        """See :class:`safelight.models.network.Predict`; computes in the type of the weights."""
        dtype = self.pos_embed.dtype
        patch = self.shape.patch
        patches = in_patches(x.to(dtype), patch)
        picture = projected(patches.tokens, self.x_embedder["proj"])
        picture = picture + self._positions(patches.rows, patches.columns)
        embedding = self.t_embedder(spread(timestep, NUMBER_FEATURES, factor=1.0).to(dtype))
        if self.shape.pooled and inputs.pooled is not None:
            embedding = embedding + self.y_embedder(inputs.pooled.to(dtype))
        text: torch.Tensor | None = self.context_embedder(inputs.context.to(dtype))
        additions = Additions(x, control, hooks)
        skipped = hooks.skipped if hooks is not None else frozenset()
        for index, block in enumerate(self.joint_blocks):
            if ("double", index) in skipped:
                continue
            picture, text = block(picture, text, embedding)
            picture = additions.added(picture, ("double", index))
        made: torch.Tensor = self.final_layer(picture, *self.final_layer.shift_and_scale(embedding))
        squares = made.reshape(len(made), patches.rows, patches.columns, patch, patch, -1)
        planes = squares.permute(0, 5, 1, 3, 2, 4)
        output = planes.reshape(len(made), -1, patches.rows * patch, patches.columns * patch)
        return output[..., : x.shape[-2], : x.shape[-1]].float()

    def _positions(self, rows: int, columns: int) -> torch.Tensor:
        """The middle of the grid of position embeddings, ``[1, rows * columns, width]``. Raises :class:`ValueError` for
        a picture that is larger than the grid."""
        grid = self.shape.grid
        if rows > grid or columns > grid:
            raise ValueError(
                f"the model works on latents of up to {grid * self.shape.patch} pixels per side, not on "
                f"{columns * self.shape.patch} x {rows * self.shape.patch}"
            )
        top, left = (grid - rows) // 2, (grid - columns) // 2
        whole = self.pos_embed.reshape(1, grid, grid, -1)
        return whole[:, top : top + rows, left : left + columns].reshape(1, rows * columns, -1)


def projected(tokens: torch.Tensor, convolution: nn.Module) -> torch.Tensor:
    """Patches through a convolution whose stride is its size."""
    assert isinstance(convolution, nn.Conv2d)
    return functional.linear(tokens, convolution.weight.flatten(1), convolution.bias)


class Embedder(nn.Module):
    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(Linear(features, width), nn.SiLU(), Linear(width, width))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.mlp(features)
        return result


class _Attention(nn.Module):
    """``proj`` is missing where the result is not used."""

    def __init__(self, shape: MMDiTShape, *, projects: bool = True) -> None:
        super().__init__()
        self.heads = shape.width // HEAD_WIDTH
        self.qkv = Linear(shape.width, 3 * shape.width)
        if projects:
            self.proj = Linear(shape.width, shape.width)
        if shape.norms_heads:
            self.ln_q = nn.RMSNorm(HEAD_WIDTH, eps=1e-6)
            self.ln_k = nn.RMSNorm(HEAD_WIDTH, eps=1e-6)

    def forward(self, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries, keys and values by head."""
        q, k, v = (split_heads(part, self.heads) for part in self.qkv(hidden).chunk(3, dim=-1))
        return (self.ln_q(q), self.ln_k(k), v) if hasattr(self, "ln_q") else (q, k, v)


class Stream(nn.Module):
    """The text's or the picture's half of a block. ``is_last``: its result is not used, only its keys and values."""

    def __init__(self, shape: MMDiTShape, *, is_last: bool = False, has_second: bool = False) -> None:
        super().__init__()
        width = shape.width
        self.parts = 2 if is_last else 9 if has_second else 6
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), Linear(width, self.parts * width))
        self.attn = _Attention(shape, projects=not is_last)
        if has_second:
            self.attn2 = _Attention(shape)
        if not is_last:
            self.mlp = nn.ModuleDict({"fc1": Linear(width, shape.inner), "fc2": Linear(shape.inner, width)})

    def modulations(self, embedding: torch.Tensor) -> list[Modulation]:
        parts = self.adaLN_modulation(embedding)[:, None].chunk(self.parts, dim=-1)
        if self.parts == 2:
            return [Modulation(parts[0], parts[1], torch.zeros_like(parts[0]))]
        return [Modulation(*parts[start : start + 3]) for start in range(0, self.parts, 3)]

    def finished(
        self,
        hidden: torch.Tensor,
        attended: torch.Tensor,
        modulations: list[Modulation],
        second: torch.Tensor | None = None,
    ) -> torch.Tensor:
        result = modulations[0].added(hidden, self.attn.proj(attended))
        if second is not None:
            result = modulations[2].added(result, self.attn2.proj(second))
        inner = functional.gelu(self.mlp["fc1"](modulations[1].normed(result)), approximate="tanh")
        return modulations[1].added(result, self.mlp["fc2"](inner))


class _JointBlock(nn.Module):
    def __init__(self, shape: MMDiTShape, index: int) -> None:
        super().__init__()
        self.context_block = Stream(shape, is_last=index == shape.blocks - 1)
        self.x_block = Stream(shape, has_second=index in shape.second_attention)

    def forward(
        self, picture: torch.Tensor, text: torch.Tensor, embedding: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        of_text, of_picture = self.context_block.modulations(embedding), self.x_block.modulations(embedding)
        told, seen = self.context_block.attn(of_text[0].normed(text)), self.x_block.attn(of_picture[0].normed(picture))
        attended = attend(*(torch.cat(pair, dim=2) for pair in zip(told, seen, strict=True)))
        second = None
        if hasattr(self.x_block, "attn2"):
            second = attend(*self.x_block.attn2(of_picture[2].normed(picture)))
        length = text.shape[1]
        picture = self.x_block.finished(picture, attended[:, length:], of_picture, second)
        if len(of_text) == 1:
            return picture, None
        return picture, self.context_block.finished(text, attended[:, :length], of_text)
