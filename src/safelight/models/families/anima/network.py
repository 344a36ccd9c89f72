"""The transformer of Cosmos-Predict2 (NVIDIA, "World Simulation with Video Foundation Models", 2025), under the names
of its files: each block attends to the picture and to the text, and its branches are modulated by a low-rank layer of
their own on top of a common one. Anima puts an adapter before the text.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from safelight.models.families.anima.text_adapter import AdapterShape, TextAdapter
from safelight.models.inputs import Inputs
from safelight.models.network_hooks import Control, NetworkHooks
from safelight.models.operations import Linear
from safelight.models.transformer.additions import Additions
from safelight.models.transformer.attention import split_heads
from safelight.models.transformer.embeddings import spread
from safelight.models.transformer.modulation import Modulation
from safelight.models.transformer.normalization import layer_norm
from safelight.models.weights import count_blocks

PATCH = 2
EPSILON = 1e-6
THETA = 10_000.0
EXTRAPOLATION = 4.0
"""How many times longer rows and columns may be than in training."""
TEXT_TOKENS = 512
"""The adapter's embeddings are filled up to this many with zeros."""


@dataclass(frozen=True, slots=True)
class AnimaShape:
    """``channels``: of the latent; the network sees one more, which is zero. ``low_rank``: of the modulations."""

    channels: int
    width: int
    text_width: int
    heads: int
    inner: int
    low_rank: int
    layers: int
    adapter: AdapterShape


def anima_shape(shapes: Mapping[str, torch.Size]) -> AnimaShape:
    """Read the shape off the weights. Raises :class:`KeyError` with the name that is missing."""
    width, features = shapes["x_embedder.proj.1.weight"]
    first, adapter = "blocks.0.", "llm_adapter."
    vocabulary, out = shapes[f"{adapter}embed.weight"]
    adapter_width, source = shapes[f"{adapter}blocks.0.cross_attn.k_proj.weight"]
    return AnimaShape(
        channels=features // PATCH**2 - 1,
        width=width,
        text_width=shapes[f"{first}cross_attn.k_proj.weight"][1],
        heads=width // shapes[f"{first}self_attn.q_norm.weight"][0],
        inner=shapes[f"{first}mlp.layer1.weight"][0],
        low_rank=shapes[f"{first}adaln_modulation_mlp.1.weight"][0],
        layers=count_blocks(shapes, "blocks"),
        adapter=AdapterShape(
            vocabulary=vocabulary,
            source=source,
            width=adapter_width,
            out=out,
            heads=adapter_width // shapes[f"{adapter}blocks.0.self_attn.q_norm.weight"][0],
            inner=shapes[f"{adapter}blocks.0.mlp.0.weight"][0],
            layers=count_blocks(shapes, f"{adapter}blocks"),
        ),
    )


@dataclass(frozen=True, eq=False)
class AnimaInputs(Inputs):
    """``context [B, n, features]``: states of the language model, or the text's embeddings if there are no ``tokens``.
    ``tokens [B, m]`` of T5, and their ``weights [B, m]``."""

    context: torch.Tensor
    tokens: torch.Tensor | None = None
    weights: torch.Tensor | None = None


@dataclass(frozen=True)
class AnimaArchitecture:
    shape: AnimaShape

    def build(self) -> "Anima":
        return Anima(self.shape)


class Anima(nn.Module):
    def __init__(self, shape: AnimaShape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.width
        self.x_embedder = nn.ModuleDict(
            {"proj": nn.ModuleList([nn.Identity(), Linear((shape.channels + 1) * PATCH**2, width, bias=False)])}
        )
        self.t_embedder = nn.ModuleList([nn.Identity(), _TimeLayers(width)])
        self.t_embedding_norm = nn.RMSNorm(width, eps=EPSILON)
        self.blocks = nn.ModuleList(_Block(shape, index) for index in range(shape.layers))
        self.final_layer = _FinalLayer(shape)
        self.llm_adapter = TextAdapter(shape.adapter)

    def forward(
        self,
        x: torch.Tensor,
        timestep: torch.Tensor,
        inputs: AnimaInputs,
        *,
        control: Control | None = None,
        hooks: NetworkHooks | None = None,
    ) -> torch.Tensor:
        """See :class:`safelight.models.network.Predict`; ``x [B, C, frames, h, w]``, ``timestep`` is the noise level.
        Computes in the type of the weights."""
        dtype = self.t_embedding_norm.weight.dtype
        text = self._text(inputs, dtype)
        tokens, (frames, rows, columns) = _in_patches(x.to(dtype))
        embed = self.get_submodule("x_embedder.proj.1")
        hidden = embed(tokens)
        features = spread(timestep, self.shape.width, factor=1.0).to(dtype)
        common = self.t_embedder[1](features)
        embedding = self.t_embedding_norm(features)
        turns = _turns(frames, rows, columns, self.shape.width // self.shape.heads, x.device)
        additions = Additions(x, control, hooks)
        for block in self.blocks:
            hidden = block(hidden, text, embedding, common, turns, additions)
        made = self.final_layer(hidden, embedding, common)
        squares = made.reshape(len(x), frames, rows, columns, PATCH, PATCH, -1).permute(0, 6, 1, 2, 4, 3, 5)
        planes = squares.reshape(len(x), -1, frames, rows * PATCH, columns * PATCH)
        cut: torch.Tensor = planes[..., : x.shape[-2], : x.shape[-1]]
        return cut.float()

    def _text(self, inputs: AnimaInputs, dtype: torch.dtype) -> torch.Tensor:
        context = inputs.context.to(dtype)
        if inputs.tokens is None:
            return context
        made: torch.Tensor = self.llm_adapter(context, inputs.tokens)
        if inputs.weights is not None:
            made = made * inputs.weights[..., None].to(made)
        return functional.pad(made, (0, 0, 0, max(TEXT_TOKENS - made.shape[1], 0)))


class _TimeLayers(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear_1 = Linear(width, width, bias=False)
        self.linear_2 = Linear(width, 3 * width, bias=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.linear_2(functional.silu(self.linear_1(features)))
        return result


class _Attention(nn.Module):
    def __init__(self, shape: AnimaShape, source: int, name: str) -> None:
        super().__init__()
        width = shape.width
        self.heads, self.name = shape.heads, name
        self.q_proj = Linear(width, width, bias=False)
        self.k_proj = Linear(source, width, bias=False)
        self.v_proj = Linear(source, width, bias=False)
        self.output_proj = Linear(width, width, bias=False)
        self.q_norm = nn.RMSNorm(width // shape.heads, eps=EPSILON)
        self.k_norm = nn.RMSNorm(width // shape.heads, eps=EPSILON)

    def forward(
        self, hidden: torch.Tensor, source: torch.Tensor, turns: torch.Tensor | None, additions: Additions
    ) -> torch.Tensor:
        q = self.q_norm(split_heads(self.q_proj(additions.entering(hidden, f"{self.name}_q_proj")), self.heads))
        if turns is None:
            k, v = self.k_proj(source), self.v_proj(source)
        else:
            k = self.k_proj(additions.entering(source, f"{self.name}_k_proj"))
            v = self.v_proj(additions.entering(source, f"{self.name}_v_proj"))
        k = self.k_norm(split_heads(k, self.heads))
        if turns is not None:
            q, k = _turned(q, turns), _turned(k, turns)
        attended = functional.scaled_dot_product_attention(q, k, split_heads(v, self.heads))
        result: torch.Tensor = self.output_proj(attended.transpose(1, 2).flatten(-2))
        return result


class _FeedForward(nn.Module):
    def __init__(self, shape: AnimaShape) -> None:
        super().__init__()
        self.layer1 = Linear(shape.width, shape.inner, bias=False)
        self.layer2 = Linear(shape.inner, shape.width, bias=False)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.layer2(functional.gelu(self.layer1(hidden)))
        return result


class _Block(nn.Module):
    def __init__(self, shape: AnimaShape, index: int) -> None:
        super().__init__()
        self.name = f"blocks_{index}"
        self.self_attn = _Attention(shape, shape.width, f"{self.name}_self_attn")
        self.cross_attn = _Attention(shape, shape.text_width, f"{self.name}_cross_attn")
        self.mlp = _FeedForward(shape)
        self.adaln_modulation_self_attn = _low_rank(shape, 3)
        self.adaln_modulation_cross_attn = _low_rank(shape, 3)
        self.adaln_modulation_mlp = _low_rank(shape, 3)

    def forward(
        self,
        hidden: torch.Tensor,
        text: torch.Tensor,
        embedding: torch.Tensor,
        common: torch.Tensor,
        turns: torch.Tensor,
        additions: Additions,
    ) -> torch.Tensor:
        def modulation(layers: nn.Module) -> Modulation:
            return Modulation(*(layers(embedding) + common)[:, None].chunk(3, dim=-1))

        of_self = modulation(self.adaln_modulation_self_attn)
        normed = of_self.normed(hidden)
        hidden = of_self.added(hidden, self.self_attn(normed, normed, turns, additions))
        of_cross = modulation(self.adaln_modulation_cross_attn)
        hidden = of_cross.added(hidden, self.cross_attn(of_cross.normed(hidden), text, None, additions))
        of_mlp = modulation(self.adaln_modulation_mlp)
        entering = additions.entering(of_mlp.normed(hidden), f"{self.name}_mlp_layer1")
        return of_mlp.added(hidden, self.mlp(entering))


class _FinalLayer(nn.Module):
    def __init__(self, shape: AnimaShape) -> None:
        super().__init__()
        self.linear = Linear(shape.width, shape.channels * PATCH**2, bias=False)
        self.adaln_modulation = _low_rank(shape, 2)

    def forward(self, hidden: torch.Tensor, embedding: torch.Tensor, common: torch.Tensor) -> torch.Tensor:
        width = hidden.shape[-1]
        shift, scale = (self.adaln_modulation(embedding) + common[:, : 2 * width])[:, None].chunk(2, dim=-1)
        result: torch.Tensor = self.linear(torch.addcmul(shift, layer_norm(hidden), 1 + scale))
        return result


def _low_rank(shape: AnimaShape, parts: int) -> nn.Sequential:
    return nn.Sequential(
        nn.SiLU(),
        Linear(shape.width, shape.low_rank, bias=False),
        Linear(shape.low_rank, parts * shape.width, bias=False),
    )


def _in_patches(frames: torch.Tensor) -> tuple[torch.Tensor, tuple[int, int, int]]:
    """``[B, C, frames, h, w]`` with a plane of zeros to ``[B, tokens, (C + 1) * PATCH * PATCH]``, and how many tokens
    each axis has."""
    below, right = -frames.shape[-2] % PATCH, -frames.shape[-1] % PATCH
    if below or right:
        frames = functional.pad(frames, (0, right, 0, below, 0, 0), mode="circular")
    frames = torch.cat((frames, torch.zeros_like(frames[:, :1])), dim=1)
    batch, channels, count, height, width = frames.shape
    rows, columns = height // PATCH, width // PATCH
    squares = frames.reshape(batch, channels, count, rows, PATCH, columns, PATCH)
    return squares.permute(0, 2, 3, 5, 1, 4, 6).flatten(4).flatten(1, 3), (count, rows, columns)


def _turns(frames: int, rows: int, columns: int, head: int, device: torch.device) -> torch.Tensor:
    """Angles ``[tokens, head / 2]`` of a picture's positions: time, rows, columns. Those of rows and columns grow
    slower than in training (NTK-aware scaling)."""
    across = head // 6 * 2
    theta = THETA * EXTRAPOLATION ** (across / (across - 2))

    def angles(count: int, features: int, base: float) -> torch.Tensor:
        exponents = torch.arange(0, features, 2, device=device).float() / features
        return torch.outer(torch.arange(count, device=device).float(), 1.0 / base**exponents)

    time = angles(frames, head - 2 * across, THETA)[:, None, None].expand(-1, rows, columns, -1)
    row = angles(rows, across, theta)[None, :, None].expand(frames, -1, columns, -1)
    column = angles(columns, across, theta)[None, None].expand(frames, rows, -1, -1)
    return torch.cat((time, row, column), dim=-1).flatten(0, 2)


def _turned(heads: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    """Each feature of the first half turned with that of the second."""
    first, second = heads.float().chunk(2, dim=-1)
    cosines, sines = angles.cos(), angles.sin()
    turned = torch.cat((first * cosines - second * sines, first * sines + second * cosines), dim=-1)
    return turned.to(heads.dtype)
