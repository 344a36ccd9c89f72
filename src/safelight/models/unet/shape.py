"""The structure of a UNet, read off the names and shapes of its weights in latent diffusion's layout.

Names are those below ``model.diffusion_model.``. The numbers of heads and groups are not visible in the weights;
families know them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from safelight.models.weights import count_blocks

Shapes = Mapping[str, torch.Size]


@dataclass(frozen=True, slots=True)
class ConvolutionShape:
    channels: int
    out: int


@dataclass(frozen=True, slots=True)
class ResidualShape:
    channels: int
    out: int


@dataclass(frozen=True, slots=True)
class TransformerShape:
    """``is_linear``: the projections around the blocks are matrices; the first models have 1x1 convolutions."""

    channels: int
    inner: int
    depth: int
    context: int
    is_linear: bool

    @property
    def out(self) -> int:
        return self.channels


@dataclass(frozen=True, slots=True)
class DownShape:
    channels: int
    out: int


@dataclass(frozen=True, slots=True)
class UpShape:
    channels: int
    out: int


Part = ConvolutionShape | ResidualShape | TransformerShape | DownShape | UpShape
Block = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class UNetShape:
    """``vector``: the features of the pooled condition (SDXL), 0 without one."""

    channels: int
    embedding: int
    in_channels: int
    out_channels: int
    vector: int
    inputs: tuple[Block, ...]
    middle: Block
    outputs: tuple[Block, ...]

    @property
    def context(self) -> int:
        """The features of a conditioning token, 0 without cross attention."""
        blocks = (*self.inputs, self.middle, *self.outputs)
        return next((part.context for block in blocks for part in block if isinstance(part, TransformerShape)), 0)


def unet_shape(shapes: Shapes) -> UNetShape:
    """Read the shape off the weights. Raises :class:`KeyError` with the name that is missing if they are not a
    UNet's."""
    outputs = _section("output_blocks", shapes)
    return replace(encoder_shape(shapes), out_channels=shapes["out.2.weight"][0], outputs=outputs)


def encoder_shape(shapes: Shapes) -> UNetShape:
    """The shape of the down path and the middle only."""
    embedding, channels = shapes["time_embed.0.weight"]
    return UNetShape(
        channels=channels,
        embedding=embedding,
        in_channels=shapes["input_blocks.0.0.weight"][1],
        out_channels=0,
        vector=shapes["label_emb.0.0.weight"][1] if "label_emb.0.0.weight" in shapes else 0,
        inputs=_section("input_blocks", shapes),
        middle=_block("middle_block", shapes),
        outputs=(),
    )


def _section(name: str, shapes: Shapes) -> tuple[Block, ...]:
    return tuple(_block(f"{name}.{index}", shapes) for index in range(count_blocks(shapes, name)))


def _block(name: str, shapes: Shapes) -> Block:
    return tuple(_part(f"{name}.{index}", shapes) for index in range(count_blocks(shapes, name)))


def _part(name: str, shapes: Shapes) -> Part:
    if f"{name}.in_layers.2.weight" in shapes:
        out, channels = shapes[f"{name}.in_layers.2.weight"][:2]
        return ResidualShape(channels, out)
    if f"{name}.proj_in.weight" in shapes:
        projection = shapes[f"{name}.proj_in.weight"]
        return TransformerShape(
            channels=projection[1],
            inner=projection[0],
            depth=count_blocks(shapes, f"{name}.transformer_blocks"),
            context=shapes[f"{name}.transformer_blocks.0.attn2.to_k.weight"][1],
            is_linear=len(projection) == 2,
        )
    for inner, kind in (("op.", DownShape), ("conv.", UpShape), ("", ConvolutionShape)):
        if f"{name}.{inner}weight" in shapes:
            out, channels = shapes[f"{name}.{inner}weight"][:2]
            return kind(channels, out)
    raise KeyError(f"{name}.weight")
