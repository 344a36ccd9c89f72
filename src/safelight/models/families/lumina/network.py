"""NextDiT, the transformer of Lumina Image 2.0 (Qin et al. 2025) and Z-Image (Z-Image Team 2025), under the names of
their files.

Text and picture are refined apart, then joined into one sequence, text first. Positions have three axes: one that
counts text tokens and places the picture after them, and the picture's rows and columns. Z-Image fills both parts up
to multiples of 32 tokens with learned tokens.
"""

from collections.abc import Mapping
from dataclasses import dataclass

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
NORM_EPSILON = 1e-5
HEAD_EPSILON = torch.finfo(torch.float32).eps
FILLED_TO = 32
"""Z-Image's sequences are filled up to multiples of this."""


@dataclass(frozen=True)
class NextDiTShape:
    """The network as its weights show it. ``axes``: features of a head for each axis of positions."""

    channels: int
    width: int
    text_width: int
    layers: int
    refiners: int
    heads: int
    key_heads: int
    feed_forward: int
    time_hidden: int
    time_width: int
    is_z_image: bool
    is_filled: bool

    @property
    def axes(self) -> tuple[int, int, int]:
        return (32, 48, 48) if self.is_z_image else (32, 32, 32)

    @property
    def theta(self) -> float:
        return 256.0 if self.is_z_image else 10_000.0

    @property
    def time_factor(self) -> float:
        return 1000.0 if self.is_z_image else 1.0


def nextdit_shape(shapes: Mapping[str, torch.Size]) -> NextDiTShape:
    """Raises :class:`KeyError` if a weight is missing."""
    width, features = shapes["x_embedder.weight"]
    head_width = shapes["layers.0.attention.q_norm.weight"][0]
    heads = shapes["layers.0.attention.out.weight"][1] // head_width
    rows = shapes["layers.0.attention.qkv.weight"][0]
    time_width, time_hidden = shapes["t_embedder.mlp.2.weight"]
    return NextDiTShape(
        channels=features // PATCH**2,
        width=width,
        text_width=shapes["cap_embedder.1.weight"][1],
        layers=layer_count(shapes, "layers"),
        refiners=layer_count(shapes, "context_refiner"),
        heads=heads,
        key_heads=(rows // head_width - heads) // 2,
        feed_forward=shapes["layers.0.feed_forward.w1.weight"][0],
        time_hidden=time_hidden,
        time_width=time_width,
        is_z_image="layers.0.adaLN_modulation.0.weight" in shapes,
        is_filled="cap_pad_token" in shapes,
    )


@dataclass(frozen=True, eq=False)
class NextDiTInputs(Inputs):
    """``context [B, tokens, features]``; ``mask [B, tokens]`` is 0 for tokens to ignore, ``None`` if there are none."""

    context: torch.Tensor
    mask: torch.Tensor | None = None


@dataclass(frozen=True)
class NextDiTArchitecture:
    shape: NextDiTShape

    def build(self) -> "NextDiT":
        return NextDiT(self.shape)


class NextDiT(nn.Module):
    def __init__(self, shape: NextDiTShape) -> None:
        super().__init__()
        self.shape = shape
        self.x_embedder = Linear(shape.channels * PATCH**2, shape.width)
        self.t_embedder = _TimeEmbedding(shape)
        self.cap_embedder = nn.Sequential(_Norm(shape.text_width), Linear(shape.text_width, shape.width))
        self.noise_refiner = nn.ModuleList(NextDiTBlock(shape) for _ in range(shape.refiners))
        self.context_refiner = nn.ModuleList(NextDiTBlock(shape, modulates=False) for _ in range(shape.refiners))
        self.layers = nn.ModuleList(NextDiTBlock(shape) for _ in range(shape.layers))
        self.final_layer = _FinalLayer(shape)
        if shape.is_filled:
            self.x_pad_token = nn.Parameter(torch.empty(1, shape.width))
            self.cap_pad_token = nn.Parameter(torch.empty(1, shape.width))

    def forward(
        self,
        x: torch.Tensor,
        timestep: torch.Tensor,
        inputs: NextDiTInputs,
        *,
        control: Control | None = None,
        hooks: NetworkHooks | None = None,
    ) -> torch.Tensor:
        """See :class:`safelight.models.network.Predict`; ``timestep`` is the noise level. Computes in the type of the
        weights. The network was trained on the share of the signal, and predicts the opposite direction."""
        dtype = self.x_embedder.bias.dtype
        embedding = self.t_embedder((1.0 - timestep) * self.shape.time_factor, dtype)
        tokens, rows, columns = in_patches(x.to(dtype))
        picture, text = self.x_embedder(tokens), self.cap_embedder(inputs.context.to(dtype))
        mask = inputs.mask
        if self.shape.is_filled:
            text, mask = _filled(text, self.cap_pad_token), _filled_mask(mask, text.shape[1])
            picture = _filled(picture, self.x_pad_token)
        turns = rotations(
            _positions(text.shape[1], rows, columns, picture.shape[1], x.device)[None],
            self.shape.axes,
            theta=self.shape.theta,
        )
        length = text.shape[1]
        of_text, of_picture = turns[:, :, :length], turns[:, :, length:]
        allowed = None if mask is None else mask.to(torch.bool)[:, None, None]
        for block in self.context_refiner:
            text = block(text, of_text, mask=allowed)
        additions = Additions(x, control, hooks)
        entering = picture
        for index, block in enumerate(self.noise_refiner):
            picture = block(picture, of_picture, embedding)
            picture = additions.after(picture, TokenBlock("refiner", index, entering, of_picture, embedding))
        joined, entering = torch.cat((text, picture), dim=1), picture
        for index, block in enumerate(self.layers):
            joined = block(joined, turns, embedding)
            if additions:
                place = TokenBlock("double", index, entering, of_picture, embedding)
                joined = torch.cat((joined[:, :length], additions.after(joined[:, length:], place)), dim=1)
        made = self.final_layer(joined[:, length : length + rows * columns], embedding)
        output = _from_patches(made, rows, columns)[..., : x.shape[-2], : x.shape[-1]]
        return -output.float()


class _Norm(nn.Module):
    def __init__(self, width: int, epsilon: float = NORM_EPSILON) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))
        self.epsilon = epsilon

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.rms_norm(x, self.weight.shape, self.weight, self.epsilon)


class _TimeEmbedding(nn.Module):
    def __init__(self, shape: NextDiTShape) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            Linear(TIME_FEATURES, shape.time_hidden), nn.SiLU(), Linear(shape.time_hidden, shape.time_width)
        )

    def forward(self, time: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        result: torch.Tensor = self.mlp(spread(time, TIME_FEATURES, factor=1.0).to(dtype))
        return result


class _Attention(nn.Module):
    def __init__(self, shape: NextDiTShape) -> None:
        super().__init__()
        head_width = shape.width // shape.heads
        self.heads, self.key_heads = shape.heads, shape.key_heads
        self.sizes = [shape.heads * head_width, shape.key_heads * head_width, shape.key_heads * head_width]
        self.qkv = Linear(shape.width, sum(self.sizes), bias=False)
        self.out = Linear(shape.width, shape.width, bias=False)
        self.q_norm, self.k_norm = _Norm(head_width, HEAD_EPSILON), _Norm(head_width, HEAD_EPSILON)

    def forward(self, x: torch.Tensor, turns: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        q, k, v = torch.split(self.qkv(x), self.sizes, dim=-1)
        q, k = self.q_norm(split_heads(q, self.heads)), self.k_norm(split_heads(k, self.key_heads))
        result: torch.Tensor = self.out(attend(q, k, split_heads(v, self.key_heads), turns=turns, mask=mask))
        return result


class _FeedForward(nn.Module):
    def __init__(self, shape: NextDiTShape) -> None:
        super().__init__()
        self.w1 = Linear(shape.width, shape.feed_forward, bias=False)
        self.w2 = Linear(shape.feed_forward, shape.width, bias=False)
        self.w3 = Linear(shape.width, shape.feed_forward, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.w2(functional.silu(self.w1(x)) * self.w3(x))
        return result


class NextDiTBlock(nn.Module):
    """A transformer block whose branches are normalised before and after; with ``modulates``, the embedding of the
    timestep scales what goes in and gates what comes out."""

    def __init__(self, shape: NextDiTShape, *, modulates: bool = True) -> None:
        super().__init__()
        self.attention = _Attention(shape)
        self.feed_forward = _FeedForward(shape)
        self.attention_norm1, self.attention_norm2 = _Norm(shape.width), _Norm(shape.width)
        self.ffn_norm1, self.ffn_norm2 = _Norm(shape.width), _Norm(shape.width)
        if modulates:
            modulation = Linear(shape.time_width, 4 * shape.width)
            self.adaLN_modulation = nn.Sequential(*([] if shape.is_z_image else [nn.SiLU()]), modulation)

    def forward(
        self,
        x: torch.Tensor,
        turns: torch.Tensor,
        embedding: torch.Tensor | None = None,
        *,
        mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        result: torch.Tensor
        if embedding is None:
            x = x + self.attention_norm2(self.attention(self.attention_norm1(x), turns, mask))
            result = x + self.ffn_norm2(self.feed_forward(self.ffn_norm1(x)))
            return result
        scale, gate, feed_scale, feed_gate = self.adaLN_modulation(embedding)[:, None].chunk(4, dim=-1)
        attended = self.attention(self.attention_norm1(x) * (1 + scale), turns, mask)
        x = x + gate.tanh() * self.attention_norm2(attended)
        fed = self.feed_forward(self.ffn_norm1(x) * (1 + feed_scale))
        result = x + feed_gate.tanh() * self.ffn_norm2(fed)
        return result


class _FinalLayer(nn.Module):
    def __init__(self, shape: NextDiTShape) -> None:
        super().__init__()
        self.linear = Linear(shape.width, shape.channels * PATCH**2)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), Linear(shape.time_width, shape.width))

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.linear(layer_norm(x) * (1 + self.adaLN_modulation(embedding)[:, None]))
        return result


def in_patches(planes: torch.Tensor) -> tuple[torch.Tensor, int, int]:
    """Tokens ``[B, rows * columns, PATCH * PATCH * C]``, and the numbers of rows and columns. Odd sides are continued
    from the opposite side."""
    below, right = -planes.shape[-2] % PATCH, -planes.shape[-1] % PATCH
    if below or right:
        planes = functional.pad(planes, (0, right, 0, below), mode="circular")
    rows, columns = planes.shape[-2] // PATCH, planes.shape[-1] // PATCH
    squares = planes.reshape(len(planes), -1, rows, PATCH, columns, PATCH)
    return squares.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2), rows, columns


def _from_patches(tokens: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    squares = tokens.reshape(len(tokens), rows, columns, PATCH, PATCH, -1)
    return squares.permute(0, 5, 1, 3, 2, 4).reshape(len(tokens), -1, rows * PATCH, columns * PATCH)


def _filled(tokens: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
    missing = -tokens.shape[1] % FILLED_TO
    return torch.cat((tokens, token.to(tokens).expand(len(tokens), missing, -1)), dim=1) if missing else tokens


def _filled_mask(mask: torch.Tensor | None, length: int) -> torch.Tensor | None:
    return None if mask is None else functional.pad(mask, (0, -length % FILLED_TO), value=1)


def _positions(text: int, rows: int, columns: int, picture: int, device: torch.device) -> torch.Tensor:
    """Positions ``[text + picture, 3]``; the tokens that fill the picture up are at the origin."""
    positions = torch.zeros(text + picture, 3, device=device)
    positions[:text, 0] = torch.arange(1, text + 1, device=device)
    own = positions[text : text + rows * columns].view(rows, columns, 3)
    own[..., 0] = text + 1
    own[..., 1] = torch.arange(rows, device=device)[:, None]
    own[..., 2] = torch.arange(columns, device=device)
    return positions
