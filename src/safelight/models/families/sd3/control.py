"""Stability AI's ControlNets of Stable Diffusion 3.5 Large: blocks over the picture alone, side by side, which see the
latent and that of the image. The pooled text goes through the main network's embedder before their own.
"""

from collections.abc import Mapping
from math import ceil
from typing import Any

import torch
from torch import nn

from safelight.models.control.latent_hint import LatentHint, unchanged
from safelight.models.control.transformer_control import TransformerControl
from safelight.models.families.sd3.family import SD3_LATENT
from safelight.models.families.sd3.mmdit_module import (
    HEAD_WIDTH,
    NUMBER_FEATURES,
    Embedder,
    MMDiTInputs,
    MMDiTShape,
    Stream,
    projected,
)
from safelight.models.operations import Linear
from safelight.models.transformer.attention import attend
from safelight.models.transformer.embeddings import spread
from safelight.models.transformer.patches import in_patches
from safelight.models.weights import UnknownWeights, WeightFile, Weights, count_blocks

PATCH = 2
PREPARED = {1.0: lambda planes: planes * 255 * 0.5 + 0.5, 2.0: lambda planes: 1.0 - planes}
"""What happens to the image, by the mark ``control_type`` of files: edges (1) and depth (2)."""

_NAMES = {
    "time_text_embed.timestep_embedder.linear_1": "t_embedder.mlp.0",
    "time_text_embed.timestep_embedder.linear_2": "t_embedder.mlp.2",
    "time_text_embed.text_embedder.linear_1": "y_embedder.mlp.0",
    "time_text_embed.text_embedder.linear_2": "y_embedder.mlp.2",
    "pos_embed.proj": "x_embedder.proj",
}
"""Names of diffusers that such files may have, and those of the network."""


def read_control(file: WeightFile) -> TransformerControl | None:
    if not {"pos_embed_input.proj.weight", "transformer_blocks.0.adaLN_modulation.1.bias"} <= file.shapes.keys():
        return None
    kind = next((float(value) for _, value in file.weights().only(["control_type"]).read()), 0.0)
    weights = Weights(
        {_renamed(name): source for name, source in file.weights().sources.items() if name != "control_type"}
    )
    shapes = weights.shapes
    width, pooled = shapes["y_embedder.mlp.0.weight"]
    if width != pooled:
        raise UnknownWeights(
            f"{file.path.name!r} is a ControlNet of Stable Diffusion 3.5 with {pooled} pooled features; supported are "
            "those of the large model, which take the main network's embedding"
        )
    shape = MMDiTShape(
        width=width,
        channels=shapes["x_embedder.proj.weight"][1],
        out_channels=0,
        patch=PATCH,
        context=0,
        pooled=2048,
        inner=shapes["transformer_blocks.0.mlp.fc1.weight"][0],
        grid=0,
        blocks=count_blocks(shapes, "transformer_blocks"),
        norms_heads=False,
    )
    return TransformerControl(
        weights,
        lambda: SD3Control(shape),
        MMDiTInputs,
        "Stable Diffusion 3.5 Large",
        LatentHint(SD3_LATENT, PREPARED.get(round(kind), unchanged)),
        {name: f"orig_{name}" for name in _BORROWED},
    )


_BORROWED = tuple(f"y_embedder.mlp.{layer}.{part}" for layer in (0, 2) for part in ("weight", "bias"))


def _renamed(name: str) -> str:
    module, _, part = name.rpartition(".")
    return f"{_NAMES.get(module, module)}.{part}"


class SD3Control(nn.Module):
    def __init__(self, shape: MMDiTShape) -> None:
        super().__init__()
        width = shape.width
        self.shape = shape
        self.x_embedder = nn.ModuleDict({"proj": nn.Conv2d(shape.channels, width, PATCH, PATCH)})
        self.pos_embed_input = nn.ModuleDict({"proj": nn.Conv2d(shape.channels, width, PATCH, PATCH)})
        self.t_embedder = Embedder(NUMBER_FEATURES, width)
        self.orig_y_embedder = Embedder(shape.pooled, width)
        self.y_embedder = Embedder(width, width)
        self.transformer_blocks = nn.ModuleList(Stream(shape) for _ in range(shape.blocks))
        self.controlnet_blocks = nn.ModuleList(Linear(width, width) for _ in range(shape.blocks))

    def forward(
        self, x: torch.Tensor, timestep: torch.Tensor, inputs: MMDiTInputs, hint: torch.Tensor
    ) -> Mapping[tuple[str, int], torch.Tensor]:
        """See :class:`safelight.models.control.transformer_control.TransformerControl`."""
        convolution: Any = self.x_embedder["proj"]
        dtype = convolution.weight.dtype
        picture = projected(in_patches(x.to(dtype), PATCH).tokens, convolution)
        picture = picture + projected(in_patches(hint.to(dtype), PATCH).tokens, self.pos_embed_input["proj"])
        embedding = self.t_embedder(spread(timestep, NUMBER_FEATURES, factor=1.0).to(dtype))
        if inputs.pooled is not None:
            embedding = embedding + self.y_embedder(self.orig_y_embedder(inputs.pooled.to(dtype)))
        main_blocks = self.shape.width // HEAD_WIDTH
        times = ceil(main_blocks / self.shape.blocks)
        made: dict[tuple[str, int], torch.Tensor] = {}
        block: Any
        for index, (block, projection) in enumerate(zip(self.transformer_blocks, self.controlnet_blocks, strict=True)):
            modulations = block.modulations(embedding)
            attended = attend(*block.attn(modulations[0].normed(picture)))
            residual = projection(block.finished(picture, attended, modulations))
            made |= {("double", main): residual for main in range(index * times, (index + 1) * times)}
        return made
