"""InstantX's ControlNets of Qwen-Image: the first blocks of the network itself, which see the image beside the latent,
and a projection after each whose result is added to the main network's blocks.
"""

from collections.abc import Mapping
from math import ceil

import torch
from torch import nn

from safelight.models.control.latent_hint import LatentHint
from safelight.models.control.transformer_control import TransformerControl
from safelight.models.families.qwen_image.latent import WAN21_LATENT
from safelight.models.families.qwen_image.network import (
    AXES,
    PATCH,
    THETA,
    QwenImage,
    QwenImageInputs,
    QwenImageShape,
    StepModulation,
    frame_positions,
    in_patches,
    qwen_image_shape,
    text_positions,
)
from safelight.models.operations import Linear
from safelight.models.transformer.rotary import rotations
from safelight.models.weights import WeightFile

MAIN_BLOCKS = 60
"""Blocks of the published networks; each result is for as many of them in a row as fill them up."""


def read_control(file: WeightFile) -> TransformerControl | None:
    weights = file.weights()
    shapes = weights.shapes
    if not {"controlnet_blocks.0.weight", "transformer_blocks.0.img_mlp.net.0.proj.weight"} <= shapes.keys():
        return None
    width, features = shapes["img_in.weight"]
    shape = qwen_image_shape({**shapes, "proj_out.weight": torch.Size((features, width))})
    channels = shapes["controlnet_x_embedder.weight"][1] // PATCH**2
    return TransformerControl(
        weights,
        lambda: QwenImageControl(shape, channels),
        QwenImageInputs,
        "Qwen-Image",
        LatentHint(WAN21_LATENT, takes_mask=channels > shape.channels),
        {},
    )


class QwenImageControl(QwenImage):
    def __init__(self, shape: QwenImageShape, channels: int) -> None:
        """``channels``: of the latent of the image, with its mask."""
        super().__init__(shape)
        del self.norm_out, self.proj_out
        self.controlnet_x_embedder = Linear(channels * PATCH**2, shape.width)
        self.controlnet_blocks = nn.ModuleList(Linear(shape.width, shape.width) for _ in range(shape.layers))

    def forward(  # type: ignore[override]
        self, x: torch.Tensor, timestep: torch.Tensor, inputs: QwenImageInputs, hint: torch.Tensor
    ) -> Mapping[tuple[str, int], torch.Tensor]:
        """See :class:`safelight.models.control.transformer_control.TransformerControl`."""
        dtype = self.img_in.bias.dtype
        picture = self.img_in(in_patches(x).to(dtype)) + self.controlnet_x_embedder(in_patches(hint).to(dtype))
        text = self.txt_in(self.txt_norm(inputs.context.to(dtype)))
        positions = torch.cat((text_positions(x, text.shape[1]), frame_positions(x, 0, (0, 0))))
        turns = rotations(positions[None], AXES, theta=THETA)
        modulation = StepModulation(self.time_text_embed(timestep, dtype))
        times = ceil(MAIN_BLOCKS / len(self.controlnet_blocks))
        made: dict[tuple[str, int], torch.Tensor] = {}
        for index, (block, projection) in enumerate(zip(self.transformer_blocks, self.controlnet_blocks, strict=True)):
            text, picture = block(text, picture, modulation, turns)
            residual = projection(picture)
            made |= {("double", main): residual for main in range(index * times, (index + 1) * times)}
        return made
