"""The transformer of FLUX.2, built from the shapes of its weights, under the names of the original files. Its
modulations are computed once for all blocks, its MLPs are gated, and nothing has a bias."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from safelight.models.inputs import Inputs
from safelight.models.network_hooks import NetworkHooks
from safelight.models.operations import Linear
from safelight.models.transformer.embeddings import TwoLayers, spread
from safelight.models.transformer.modulation import ModulatedOutput, ModulationLayer
from safelight.models.transformer.patches import from_patches
from safelight.models.transformer.references import picture_tokens
from safelight.models.transformer.rotary import rotations
from safelight.models.transformer.streams import DoubleBlock, SingleBlock, StreamShape, stream_shape
from safelight.models.weights import count_blocks

NUMBER_FEATURES = 256
THETA = 2000.0
REFERENCE_STEP = 10.0
"""The distance of reference pictures on the first axis."""


@dataclass(frozen=True, slots=True)
class Flux2Shape:
    stream: StreamShape
    channels: int
    context: int
    double_blocks: int
    single_blocks: int
    has_guidance: bool

    @property
    def axes(self) -> tuple[int, int, int, int]:
        """Features of a head for picture, row, column and the position in the text."""
        quarter = self.stream.width // self.stream.heads // 4
        return quarter, quarter, quarter, quarter


def flux2_shape(shapes: Mapping[str, torch.Size]) -> Flux2Shape:
    """Read the shape off the weights. Raises :class:`KeyError` with the name that is missing."""
    width, channels = shapes["img_in.weight"]
    return Flux2Shape(
        stream=stream_shape(shapes, width),
        channels=channels,
        context=shapes["txt_in.weight"][1],
        double_blocks=count_blocks(shapes, "double_blocks"),
        single_blocks=count_blocks(shapes, "single_blocks"),
        has_guidance="guidance_in.in_layer.weight" in shapes,
    )


@dataclass(frozen=True, eq=False)
class Flux2Inputs(Inputs):
    """``context [B, tokens, features]``; ``guidance [B]``; ``references [B, C, h', w']``."""

    context: torch.Tensor
    guidance: torch.Tensor | None = None
    references: tuple[torch.Tensor, ...] = ()
    reference_method: str = "index"


@dataclass(frozen=True)
class Flux2Architecture:
    shape: Flux2Shape

    def build(self) -> "Flux2":
        return Flux2(self.shape)


class Flux2(nn.Module):
    def __init__(self, shape: Flux2Shape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.stream.width
        self.img_in = Linear(shape.channels, width, bias=False)
        self.txt_in = Linear(shape.context, width, bias=False)
        self.time_in = TwoLayers(NUMBER_FEATURES, width, bias=False)
        if shape.has_guidance:
            self.guidance_in = TwoLayers(NUMBER_FEATURES, width, bias=False)
        self.double_stream_modulation_img = ModulationLayer(width, 2, bias=False)
        self.double_stream_modulation_txt = ModulationLayer(width, 2, bias=False)
        self.single_stream_modulation = ModulationLayer(width, 1, bias=False)
        self.double_blocks = nn.ModuleList(DoubleBlock(shape.stream) for _ in range(shape.double_blocks))
        self.single_blocks = nn.ModuleList(SingleBlock(shape.stream) for _ in range(shape.single_blocks))
        self.final_layer = ModulatedOutput(width, shape.channels, bias=False)

    def forward(
        self,
        x: torch.Tensor,
        timestep: torch.Tensor,
        inputs: Flux2Inputs,
        *,
        control: Any = None,
        hooks: NetworkHooks | None = None,
    ) -> torch.Tensor:
        """See :class:`safelight.models.network.Predict`; computes in the type of the weights."""
        block: Any = self.double_blocks[0]
        dtype = block.img_attn.norm.query_norm.scale.dtype  # norms are never quantised
        axes = self.shape.axes
        seen = picture_tokens(
            x,
            inputs.references,
            patch=1,
            axes=len(axes),
            method=inputs.reference_method,
            index_step=REFERENCE_STEP,
        )
        embedding = self.time_in(spread(timestep, NUMBER_FEATURES).to(dtype))
        if self.shape.has_guidance and inputs.guidance is not None:
            embedding = embedding + self.guidance_in(spread(inputs.guidance, NUMBER_FEATURES).to(dtype))
        picture, text = self.img_in(seen.tokens.to(dtype)), self.txt_in(inputs.context.to(dtype))
        length = text.shape[1]
        in_text = seen.positions.new_zeros(length, len(axes))
        in_text[:, 3] = torch.arange(length, device=x.device)
        turns = rotations(torch.cat((in_text, seen.positions))[None], axes, theta=THETA)
        of_picture, of_text = (
            self.double_stream_modulation_img(embedding),
            self.double_stream_modulation_txt(embedding),
        )
        skipped = hooks.skipped if hooks is not None else frozenset()
        for index, block in enumerate(self.double_blocks):
            if ("double", index) in skipped:
                continue
            picture, text = block(picture, text, picture_modulations=of_picture, text_modulations=of_text, turns=turns)
        hidden = torch.cat((text, picture), dim=1)
        of_both = self.single_stream_modulation(embedding)
        for index, block in enumerate(self.single_blocks):
            if ("single", index) in skipped:
                continue
            hidden = block(hidden, modulations=of_both, turns=turns)
        own = hidden[:, length : length + seen.latent.tokens.shape[1]]
        made = self.final_layer(own, *self.final_layer.shift_and_scale(embedding))
        return from_patches(made, 1, rows=seen.latent.rows, columns=seen.latent.columns).float()
