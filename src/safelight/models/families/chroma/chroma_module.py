"""The transformer of Chroma, built from the shapes of its weights, under the names of the original files. A small
network makes the modulations of all blocks at once, from the timestep, the guidance and the number of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from safelight.models.inputs import Inputs
from safelight.models.network_hooks import NetworkHooks
from safelight.models.operations import Linear
from safelight.models.transformer.embeddings import TwoLayers, spread
from safelight.models.transformer.modulation import ModulatedOutput, Modulation, Modulations
from safelight.models.transformer.normalization import ScaleNorm
from safelight.models.transformer.patches import from_patches, grid_positions, in_patches
from safelight.models.transformer.rotary import rotations
from safelight.models.transformer.streams import DoubleBlock, SingleBlock, StreamShape, stream_shape
from safelight.models.weights import count_blocks

PATCH = 2
THETA = 10000.0
NUMBER_FEATURES = 16
"""Of the timestep and of the guidance."""
INDEX_FEATURES = 32
MODULATIONS = 344
"""How many vectors the modulations of the published network are: 3 for each single block, then 6 for the picture and 6
for the text of each double block, then 2 of the last layer. Networks with fewer blocks use some of them."""


@dataclass(frozen=True, slots=True)
class ChromaShape:
    stream: StreamShape
    channels: int
    context: int
    double_blocks: int
    single_blocks: int
    approximator_width: int
    approximator_layers: int

    @property
    def axes(self) -> tuple[int, int, int]:
        """Features of a head for picture, row and column."""
        width = self.stream.width // self.stream.heads
        return width // 8, width * 7 // 16, width * 7 // 16


def chroma_shape(shapes: Mapping[str, torch.Size]) -> ChromaShape:
    """Read the shape off the weights. Raises :class:`KeyError` with the name that is missing."""
    width, features = shapes["img_in.weight"]
    return ChromaShape(
        stream=stream_shape(shapes, width),
        channels=features // PATCH**2,
        context=shapes["txt_in.weight"][1],
        double_blocks=count_blocks(shapes, "double_blocks"),
        single_blocks=count_blocks(shapes, "single_blocks"),
        approximator_width=shapes["distilled_guidance_layer.in_proj.weight"][0],
        approximator_layers=count_blocks(shapes, "distilled_guidance_layer.layers"),
    )


@dataclass(frozen=True, eq=False)
class ChromaInputs(Inputs):
    """``context [B, tokens, features]``; ``guidance [B]``."""

    context: torch.Tensor
    guidance: torch.Tensor


@dataclass(frozen=True)
class ChromaArchitecture:
    shape: ChromaShape

    def build(self) -> "Chroma":
        return Chroma(self.shape)


class Approximator(nn.Module):
    """From features of a modulation's number to the modulation."""

    def __init__(self, shape: ChromaShape) -> None:
        super().__init__()
        width = shape.approximator_width
        self.in_proj = Linear(2 * NUMBER_FEATURES + INDEX_FEATURES, width)
        self.layers = nn.ModuleList(TwoLayers(width, width) for _ in range(shape.approximator_layers))
        self.norms = nn.ModuleList(ScaleNorm(width) for _ in range(shape.approximator_layers))
        self.out_proj = Linear(width, shape.stream.width)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        hidden = self.in_proj(features)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            hidden = hidden + layer(norm(hidden))
        result: torch.Tensor = self.out_proj(hidden)
        return result


class Chroma(nn.Module):
    def __init__(self, shape: ChromaShape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.stream.width
        self.img_in = Linear(shape.channels * PATCH**2, width)
        self.txt_in = Linear(shape.context, width)
        self.distilled_guidance_layer = Approximator(shape)
        self.double_blocks = nn.ModuleList(DoubleBlock(shape.stream) for _ in range(shape.double_blocks))
        self.single_blocks = nn.ModuleList(SingleBlock(shape.stream) for _ in range(shape.single_blocks))
        self.final_layer = ModulatedOutput(width, shape.channels * PATCH**2, is_modulated=False)

    def forward(
        self,
        x: torch.Tensor,
        timestep: torch.Tensor,
        inputs: ChromaInputs,
        *,
        control: Any = None,
        hooks: NetworkHooks | None = None,
    ) -> torch.Tensor:
        """See :class:`safelight.models.network.Predict`; computes in the type of the weights."""
        dtype = self.img_in.bias.dtype
        shape = self.shape
        vectors = self.distilled_guidance_layer(_features(timestep, inputs.guidance, self._count).to(dtype))
        patches = in_patches(x, PATCH)
        picture, text = self.img_in(patches.tokens.to(dtype)), self.txt_in(inputs.context.to(dtype))
        length = text.shape[1]
        positions = grid_positions(patches.rows, patches.columns, axes=len(shape.axes), device=x.device)
        at_origin = positions.new_zeros(length, len(shape.axes))
        turns = rotations(torch.cat((at_origin, positions))[None], shape.axes, theta=THETA)
        of_pictures = 3 * shape.single_blocks
        of_texts = of_pictures + 6 * shape.double_blocks
        skipped = hooks.skipped if hooks is not None else frozenset()
        for index, block in enumerate(self.double_blocks):
            if ("double", index) in skipped:
                continue
            picture, text = block(
                picture,
                text,
                picture_modulations=_modulations(vectors, of_pictures + 6 * index, 2),
                text_modulations=_modulations(vectors, of_texts + 6 * index, 2),
                turns=turns,
            )
        hidden = torch.cat((text, picture), dim=1)
        for index, block in enumerate(self.single_blocks):
            if ("single", index) in skipped:
                continue
            hidden = block(hidden, modulations=_modulations(vectors, 3 * index, 1), turns=turns)
        made = self.final_layer(hidden[:, length:], vectors[:, -2:-1], vectors[:, -1:])
        output = from_patches(made, PATCH, rows=patches.rows, columns=patches.columns)
        return output[..., : x.shape[-2], : x.shape[-1]].float()

    @property
    def _count(self) -> int:
        return max(MODULATIONS, 3 * self.shape.single_blocks + 12 * self.shape.double_blocks + 2)


def _features(timestep: torch.Tensor, guidance: torch.Tensor, count: int) -> torch.Tensor:
    """``[B, count, features]``."""
    numbers = torch.cat((spread(timestep, NUMBER_FEATURES), spread(guidance, NUMBER_FEATURES)), dim=1)
    indices = spread(torch.arange(count, device=timestep.device), INDEX_FEATURES)
    return torch.cat((numbers[:, None].expand(-1, count, -1), indices[None].expand(len(numbers), -1, -1)), dim=-1)


def _modulations(vectors: torch.Tensor, start: int, branches: int) -> Modulations:
    parts = vectors[:, start : start + 3 * branches].chunk(3 * branches, dim=1)
    return tuple(Modulation(*parts[3 * branch : 3 * branch + 3]) for branch in range(branches))
