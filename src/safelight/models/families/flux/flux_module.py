"""The transformer of FLUX.1, built from the shapes of its weights, under the names of the original files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from safelight.models.inputs import SPATIAL, Inputs
from safelight.models.network_hooks import Control, NetworkHooks
from safelight.models.operations import Linear
from safelight.models.transformer.additions import Additions
from safelight.models.transformer.embeddings import TwoLayers, spread
from safelight.models.transformer.modulation import ModulatedOutput
from safelight.models.transformer.patches import from_patches
from safelight.models.transformer.references import picture_tokens
from safelight.models.transformer.rotary import rotations
from safelight.models.transformer.streams import DoubleBlock, SingleBlock, StreamShape, stream_shape
from safelight.models.weights import count_blocks

PATCH = 2
"""Latent pixels per side of a token."""
NUMBER_FEATURES = 256
THETA = 10000.0


@dataclass(frozen=True, slots=True)
class FluxShape:
    """``channels`` and ``out_channels`` of the latent before and after the network; ``pooled``: features of the pooled
    text, 0 without."""

    stream: StreamShape
    channels: int
    out_channels: int
    context: int
    pooled: int
    double_blocks: int
    single_blocks: int
    has_guidance: bool

    @property
    def axes(self) -> tuple[int, int, int]:
        """Features of a head for index, row and column."""
        width = self.stream.width // self.stream.heads
        return width // 8, width * 7 // 16, width * 7 // 16


def flux_shape(shapes: Mapping[str, torch.Size]) -> FluxShape:
    """Read the shape off the weights. Raises :class:`KeyError` with the name that is missing."""
    width, features = shapes["img_in.weight"]
    return FluxShape(
        stream=stream_shape(shapes, width),
        channels=features // PATCH**2,
        out_channels=shapes["final_layer.linear.weight"][0] // PATCH**2,
        context=shapes["txt_in.weight"][1],
        pooled=shapes["vector_in.in_layer.weight"][1] if "vector_in.in_layer.weight" in shapes else 0,
        double_blocks=count_blocks(shapes, "double_blocks"),
        single_blocks=count_blocks(shapes, "single_blocks"),
        has_guidance="guidance_in.in_layer.weight" in shapes,
    )


@dataclass(frozen=True, eq=False)
class FluxInputs(Inputs):
    """``context [B, tokens, features]``; ``pooled [B, features]``; ``guidance [B]``, the scale that the network was
    distilled with; ``concat [B, C, h, w]``, which is concatenated to the latent; ``references [B, C, h', w']`` on the
    scale of the network."""

    context: torch.Tensor
    pooled: torch.Tensor | None = None
    guidance: torch.Tensor | None = None
    concat: torch.Tensor | None = field(default=None, metadata=SPATIAL)
    references: tuple[torch.Tensor, ...] = ()
    reference_method: str = "offset"


@dataclass(frozen=True)
class FluxArchitecture:
    shape: FluxShape

    def build(self) -> "Flux":
        return Flux(self.shape)


class Flux(nn.Module):
    def __init__(self, shape: FluxShape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.stream.width
        self.img_in = Linear(shape.channels * PATCH**2, width)
        self.txt_in = Linear(shape.context, width)
        self.time_in = TwoLayers(NUMBER_FEATURES, width)
        if shape.pooled:
            self.vector_in = TwoLayers(shape.pooled, width)
        if shape.has_guidance:
            self.guidance_in = TwoLayers(NUMBER_FEATURES, width)
        self.double_blocks = nn.ModuleList(DoubleBlock(shape.stream) for _ in range(shape.double_blocks))
        self.single_blocks = nn.ModuleList(SingleBlock(shape.stream) for _ in range(shape.single_blocks))
        self.final_layer = ModulatedOutput(width, shape.out_channels * PATCH**2)

    def forward(
        self,
        x: torch.Tensor,
        timestep: torch.Tensor,
        inputs: FluxInputs,
        *,
        control: Control | None = None,
        hooks: NetworkHooks | None = None,
    ) -> torch.Tensor:
        """See :class:`safelight.models.network.Predict`; computes in the type of the weights."""
        dtype = self.img_in.bias.dtype
        planes = x if inputs.concat is None else torch.cat((x, inputs.concat), dim=1)
        axes = self.shape.axes
        seen = picture_tokens(planes, inputs.references, patch=PATCH, axes=len(axes), method=inputs.reference_method)
        embedding = self._embedding(timestep, inputs, dtype)
        picture, text = self.img_in(seen.tokens.to(dtype)), self.txt_in(inputs.context.to(dtype))
        additions = Additions(x, control, hooks)
        text = additions.before(text)
        length = text.shape[1]
        at_origin = seen.positions.new_zeros(length, len(axes))
        turns = rotations(torch.cat((at_origin, seen.positions))[None], axes, theta=THETA)
        block: Any
        skipped = hooks.skipped if hooks is not None else frozenset()
        for index, block in enumerate(self.double_blocks):
            if ("double", index) in skipped:
                continue
            picture, text = block(
                picture,
                text,
                picture_modulations=block.img_mod(embedding),
                text_modulations=block.txt_mod(embedding),
                turns=turns,
            )
            picture = additions.added(picture, ("double", index))
        hidden = torch.cat((text, picture), dim=1)
        for index, block in enumerate(self.single_blocks):
            if ("single", index) in skipped:
                continue
            hidden = block(hidden, modulations=block.modulation(embedding), turns=turns)
            if ("single", index) in additions:
                seen_tokens = additions.added(hidden[:, length:], ("single", index))
                hidden = torch.cat((hidden[:, :length], seen_tokens), dim=1)
        latent = seen.latent
        own = hidden[:, length : length + latent.tokens.shape[1]]
        made = self.final_layer(own, *self.final_layer.shift_and_scale(embedding))
        output = from_patches(made, PATCH, rows=latent.rows, columns=latent.columns)
        return output[..., : x.shape[-2], : x.shape[-1]].float()

    def _embedding(self, timestep: torch.Tensor, inputs: FluxInputs, dtype: torch.dtype) -> torch.Tensor:
        """``[B, width]``, of the timestep, the guidance and the pooled text."""
        embedding: torch.Tensor = self.time_in(spread(timestep, NUMBER_FEATURES).to(dtype))
        if self.shape.has_guidance and inputs.guidance is not None:
            embedding = embedding + self.guidance_in(spread(inputs.guidance, NUMBER_FEATURES).to(dtype))
        if self.shape.pooled:
            pooled = inputs.pooled
            if pooled is None:
                pooled = timestep.new_zeros(len(timestep), self.shape.pooled)
            embedding = embedding + self.vector_in(pooled[:, : self.shape.pooled].to(dtype))
        return embedding
