"""The transformer of HiDream, built from the shapes of its weights, under the names of the original files. Each block
reads another layer of a language model, beside the tokens of T5 and of the last layer, which the blocks change."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from safelight.models.families.hidream.experts import Experts, ExpertsShape, GatedLayers
from safelight.models.inputs import SPATIAL, Inputs
from safelight.models.network_hooks import NetworkHooks
from safelight.models.operations import Linear
from safelight.models.transformer.attention import attend, split_heads
from safelight.models.transformer.embeddings import spread
from safelight.models.transformer.modulation import ModulatedOutput, Modulation
from safelight.models.transformer.patches import from_patches, grid_positions, in_patches
from safelight.models.transformer.rotary import rotations
from safelight.models.weights import count_blocks

PATCH = 2
HEAD_WIDTH = 128
AXES = (64, 32, 32)
"""Features of a head for picture, row and column."""
THETA = 10000.0
NUMBER_FEATURES = 256


@dataclass(frozen=True, slots=True)
class HiDreamShape:
    """``text_inner``: features inside of the feed-forward layers of text tokens."""

    experts: ExpertsShape
    channels: int
    pooled: int
    context: int
    language: int
    text_inner: int
    double_blocks: int
    single_blocks: int

    @property
    def width(self) -> int:
        return self.experts.width


def hidream_shape(shapes: Mapping[str, torch.Size]) -> HiDreamShape:
    """Read the shape off the weights. Raises :class:`KeyError` with the name that is missing."""
    width, features = shapes["x_embedder.proj.weight"]
    first = "double_stream_blocks.0.block."
    projections = count_blocks(shapes, "caption_projection")
    return HiDreamShape(
        experts=ExpertsShape(
            width,
            count=count_blocks(shapes, f"{first}ff_i.experts"),
            inner=shapes[f"{first}ff_i.experts.0.w1.weight"][0],
            shared=shapes[f"{first}ff_i.shared_experts.w1.weight"][0],
        ),
        channels=features // PATCH**2,
        pooled=shapes["p_embedder.pooled_embedder.linear_1.weight"][1],
        context=shapes[f"caption_projection.{projections - 1}.linear.weight"][1],
        language=shapes["caption_projection.0.linear.weight"][1],
        text_inner=shapes[f"{first}ff_t.w1.weight"][0],
        double_blocks=count_blocks(shapes, "double_stream_blocks"),
        single_blocks=count_blocks(shapes, "single_stream_blocks"),
    )


@dataclass(frozen=True, eq=False)
class HiDreamInputs(Inputs):
    """``context [B, tokens, features]`` of T5; ``language [B, layers, tokens, features]`` of the language model;
    ``pooled [B, features]``; ``picture [B, C, h, w]``, the one to edit, which stands to the right of the latent."""

    context: torch.Tensor
    language: torch.Tensor
    pooled: torch.Tensor
    picture: torch.Tensor | None = field(default=None, metadata=SPATIAL)


@dataclass(frozen=True)
class HiDreamArchitecture:
    shape: HiDreamShape

    def build(self) -> "HiDream":
        return HiDream(self.shape)


class HiDream(nn.Module):
    def __init__(self, shape: HiDreamShape) -> None:
        super().__init__()
        self.shape = shape
        width, blocks = shape.width, shape.double_blocks + shape.single_blocks
        self.x_embedder = nn.ModuleDict({"proj": Linear(shape.channels * PATCH**2, width)})
        self.t_embedder = nn.ModuleDict({"timestep_embedder": _TwoLayers(NUMBER_FEATURES, width)})
        self.p_embedder = nn.ModuleDict({"pooled_embedder": _TwoLayers(shape.pooled, width)})
        features = [shape.language] * blocks + [shape.context]
        self.caption_projection = nn.ModuleList(
            nn.ModuleDict({"linear": Linear(count, width, bias=False)}) for count in features
        )
        self.double_stream_blocks = nn.ModuleList(
            nn.ModuleDict({"block": _DoubleBlock(shape)}) for _ in range(shape.double_blocks)
        )
        self.single_stream_blocks = nn.ModuleList(
            nn.ModuleDict({"block": _SingleBlock(shape)}) for _ in range(shape.single_blocks)
        )
        self.final_layer = ModulatedOutput(width, shape.channels * PATCH**2)

    def forward(
        self,
        x: torch.Tensor,
        timestep: torch.Tensor,
        inputs: HiDreamInputs,
        *,
        control: Any = None,
        hooks: NetworkHooks | None = None,
    ) -> torch.Tensor:
        """See :class:`safelight.models.network.Predict`; computes in the type of the weights."""
        dtype = self.final_layer.linear.bias.dtype
        planes = x if inputs.picture is None else torch.cat((x, inputs.picture), dim=-1)
        patches = in_patches(planes.to(dtype), PATCH)
        block: Any
        embedding = self.t_embedder["timestep_embedder"](spread(timestep, NUMBER_FEATURES, factor=1.0).to(dtype))
        embedding = embedding + self.p_embedder["pooled_embedder"](inputs.pooled.to(dtype))
        picture = self.x_embedder["proj"](_pixels_first(patches.tokens))
        layers, words = self._captions(inputs, dtype)
        text = torch.cat((words, layers[-1]), dim=1)
        kept, length = text.shape[1], picture.shape[1]
        positions = grid_positions(patches.rows, patches.columns, axes=len(AXES), device=x.device)
        at_origin = positions.new_zeros(kept + layers[0].shape[1], len(AXES))
        turns = rotations(torch.cat((positions, at_origin))[None], AXES, theta=THETA)
        for index, one in enumerate(self.double_stream_blocks):
            block = one
            picture, text = block["block"](picture, torch.cat((text, layers[index]), dim=1), embedding, turns)
            text = text[:, :kept]
        hidden = torch.cat((picture, text), dim=1)
        for index, one in enumerate(self.single_stream_blocks, start=self.shape.double_blocks):
            block = one
            hidden = block["block"](torch.cat((hidden, layers[index]), dim=1), embedding, turns)[:, : length + kept]
        made = self.final_layer(hidden[:, :length], *self.final_layer.shift_and_scale(embedding))
        output = from_patches(_channels_first(made), PATCH, rows=patches.rows, columns=patches.columns)
        return -output[..., : x.shape[-2], : x.shape[-1]].float()

    def _captions(self, inputs: HiDreamInputs, dtype: torch.dtype) -> tuple[list[torch.Tensor], torch.Tensor]:
        """For each block the tokens of its layer, the last one for those beyond, and the tokens of T5."""
        last = inputs.language.shape[1] - 1
        *projections, of_words = (part["linear"] for part in self.caption_projection)  # type: ignore[index]
        layers = [project(inputs.language[:, min(index, last)].to(dtype)) for index, project in enumerate(projections)]
        return layers, of_words(inputs.context.to(dtype))


class _TwoLayers(nn.Module):
    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.linear_1 = Linear(features, width)
        self.linear_2 = Linear(width, width)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.linear_2(functional.silu(self.linear_1(features)))
        return result


class _Attention(nn.Module):
    """Projections of the picture, and with ``has_text`` those of text tokens, whose names end in ``_t``."""

    def __init__(self, width: int, *, has_text: bool) -> None:
        super().__init__()
        for ending in ("", "_t") if has_text else ("",):
            for name in ("to_q", "to_k", "to_v", "to_out"):
                self.add_module(f"{name}{ending}", Linear(width, width))
            for name in ("q_rms_norm", "k_rms_norm"):
                self.add_module(f"{name}{ending}", nn.RMSNorm(width, eps=1e-5))

    def heads(self, hidden: torch.Tensor, ending: str = "") -> list[torch.Tensor]:
        """Queries, keys and values by head; norms are over all heads together."""
        q, k, v = (self._part(f"to_{name}{ending}", hidden) for name in "qkv")
        q, k = self._part(f"q_rms_norm{ending}", q), self._part(f"k_rms_norm{ending}", k)
        return [split_heads(part, part.shape[-1] // HEAD_WIDTH) for part in (q, k, v)]

    def out(self, attended: torch.Tensor, ending: str = "") -> torch.Tensor:
        return self._part(f"to_out{ending}", attended)

    def _part(self, name: str, hidden: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.get_submodule(name)(hidden)
        return result


class _DoubleBlock(nn.Module):
    def __init__(self, shape: HiDreamShape) -> None:
        super().__init__()
        self.adaLN_modulation = _modulation(shape.width, 4)
        self.attn1 = _Attention(shape.width, has_text=True)
        self.ff_i = Experts(shape.experts)
        self.ff_t = GatedLayers(shape.width, shape.text_inner)

    def forward(
        self, picture: torch.Tensor, text: torch.Tensor, embedding: torch.Tensor, turns: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        picture_attention, picture_layers, text_attention, text_layers = _modulations(
            self.adaLN_modulation, embedding, 4
        )
        seen = self.attn1.heads(picture_attention.normed(picture))
        told = self.attn1.heads(text_attention.normed(text), "_t")
        q, k, v = (torch.cat(pair, dim=2) for pair in zip(seen, told, strict=True))
        attended = attend(q, k, v, turns=turns)
        length = picture.shape[1]
        picture = picture_attention.added(picture, self.attn1.out(attended[:, :length]))
        text = text_attention.added(text, self.attn1.out(attended[:, length:], "_t"))
        picture = picture_layers.added(picture, self.ff_i(picture_layers.normed(picture)))
        return picture, text_layers.added(text, self.ff_t(text_layers.normed(text)))


class _SingleBlock(nn.Module):
    def __init__(self, shape: HiDreamShape) -> None:
        super().__init__()
        self.adaLN_modulation = _modulation(shape.width, 2)
        self.attn1 = _Attention(shape.width, has_text=False)
        self.ff_i = Experts(shape.experts)

    def forward(self, hidden: torch.Tensor, embedding: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
        of_attention, of_layers = _modulations(self.adaLN_modulation, embedding, 2)
        q, k, v = self.attn1.heads(of_attention.normed(hidden))
        hidden = of_attention.added(hidden, self.attn1.out(attend(q, k, v, turns=turns)))
        return of_layers.added(hidden, self.ff_i(of_layers.normed(hidden)))


def _modulation(width: int, branches: int) -> nn.Sequential:
    return nn.Sequential(nn.SiLU(), Linear(width, 3 * branches * width))


def _modulations(layer: nn.Module, embedding: torch.Tensor, branches: int) -> list[Modulation]:
    parts = layer(embedding)[:, None].chunk(3 * branches, dim=-1)
    return [Modulation(*parts[start : start + 3]) for start in range(0, 3 * branches, 3)]


def _pixels_first(tokens: torch.Tensor) -> torch.Tensor:
    """From the channels' squares of pixels to the pixels' channels."""
    return tokens.reshape(*tokens.shape[:2], -1, PATCH**2).transpose(-1, -2).flatten(-2)


def _channels_first(tokens: torch.Tensor) -> torch.Tensor:
    return tokens.reshape(*tokens.shape[:2], PATCH**2, -1).transpose(-1, -2).flatten(-2)
