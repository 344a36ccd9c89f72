"""ControlNet: a copy of a UNet's down path that also sees an image and returns what to add to the UNet's skips.

Names are those of the original files below ``control_model.``.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from safelight.models.network_hooks import BlockIndex, Control, NetworkHooks
from safelight.models.operations import Conv2d
from safelight.models.unet.shape import UNetShape, encoder_shape
from safelight.models.unet.unet_module import ForwardPass, Heads, block_of, embedding_layers, sinusoids


@dataclass(frozen=True, slots=True)
class ControlShape:
    """``hint``: channels of the control image, then of each convolution over it."""

    encoder: UNetShape
    hint: tuple[int, ...]


def control_shape(shapes: Mapping[str, torch.Size]) -> ControlShape:
    """Read the shape off the weights. Raises :class:`KeyError` with the name that is missing."""
    convolutions = [shapes[f"input_hint_block.{index}.weight"] for index in range(0, 15, 2)]
    return ControlShape(encoder_shape(shapes), (convolutions[0][1], *(shape[0] for shape in convolutions)))


_HALVES = (2, 4, 6)
"""The convolutions over the image that halve its size: eight pixels become one."""


class ControlNet(nn.Module):
    def __init__(self, shape: ControlShape, *, heads: Heads, groups: int = 32) -> None:
        super().__init__()
        encoder = shape.encoder
        self.channels = encoder.channels
        self.time_embed = embedding_layers(encoder.channels, encoder.embedding)
        if encoder.vector:
            self.label_emb = nn.Sequential(embedding_layers(encoder.vector, encoder.embedding))
        blocks = [block_of(parts, encoder.embedding, heads, groups) for parts in encoder.inputs]
        self.input_blocks = nn.ModuleList(blocks)
        outs = [parts[0].out for parts in encoder.inputs]
        self.zero_convs = nn.ModuleList(nn.Sequential(Conv2d(out, out, 1)) for out in outs)
        hint: list[nn.Module] = []
        for index, (channels, out) in enumerate(zip(shape.hint[:-1], shape.hint[1:], strict=True)):
            stride = 2 if index in _HALVES else 1
            hint += [Conv2d(channels, out, 3, stride=stride, padding=1), nn.SiLU()]
        self.input_hint_block = nn.Sequential(*hint[:-1])
        self.middle_block = block_of(encoder.middle, encoder.embedding, heads, groups)
        self.middle_block_out = nn.Sequential(Conv2d(outs[-1], outs[-1], 1))

    def forward(
        self,
        x: torch.Tensor,
        timestep: torch.Tensor,
        *,
        image: torch.Tensor,
        context: torch.Tensor,
        y: torch.Tensor | None = None,
    ) -> Control:
        """``image [B, 3, 8 h, 8 w]`` in 0..1; the other arguments as for the UNet."""
        dtype = next(self.parameters()).dtype
        embedding = self.time_embed(sinusoids(timestep, self.channels).to(dtype))
        if y is not None and hasattr(self, "label_emb"):
            embedding = embedding + self.label_emb(y.to(dtype))
        forward_pass = ForwardPass(embedding, context.to(dtype), NetworkHooks(), (x.shape[2], x.shape[3]))
        hidden = x.to(dtype)
        skips: dict[int, torch.Tensor] = {}
        for index, (parts, zero) in enumerate(zip(self.input_blocks, self.zero_convs, strict=True)):
            hidden = forward_pass.through(parts, hidden, BlockIndex("input", index))
            if index == 0:
                hidden = hidden + self.input_hint_block(image.to(dtype))
            skips[index] = zero(hidden)
        hidden = forward_pass.through(self.middle_block, hidden, BlockIndex("middle", 0))
        return Control(skips=skips, middle=self.middle_block_out(hidden))
