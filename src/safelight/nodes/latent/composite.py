"""Nodes that paste one latent into another, and set masks for inpainting."""

import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)

from safelight.nodes.image.resampling import repeat_to
from safelight.nodes.latent.samples import Latent, with_samples
from safelight.sdk import Node, NodeOutput, Schema, io


class LatentComposite(Node):
    """Paste a latent into another at a position (in pixels of the image). "feather" softens the edges by that many
    pixels, except where they touch the border."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LatentComposite",
            display_name="Latent Composite",
            category="latent",
            inputs=[
                io.Latent.Input("samples_to"),
                io.Latent.Input("samples_from"),
                io.Int.Input("x", default=0, min=0, max=16384, step=8),
                io.Int.Input("y", default=0, min=0, max=16384, step=8),
                io.Int.Input("feather", default=0, min=0, max=16384, step=8),
            ],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, samples_to: Latent, samples_from: Latent, x: int, y: int, feather: int) -> NodeOutput:
        left, top, feather = x // 8, y // 8, feather // 8
        result = samples_to["samples"].clone()
        visible = samples_from["samples"][..., : result.shape[-2] - top, : result.shape[-1] - left]
        target = result[..., top : top + visible.shape[-2], left : left + visible.shape[-1]]
        if feather > 0:
            mask = _feathered(samples_from["samples"], result, left, top, feather)
            mask = mask[..., : visible.shape[-2], : visible.shape[-1]]
            visible = visible * mask + target * (1.0 - mask)
        target.copy_(visible)
        return NodeOutput(with_samples(samples_to, result))


class LatentCompositeMasked(Node):
    """Paste a latent into another at a position (in pixels of the image), where the mask is white."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LatentCompositeMasked",
            category="latent",
            inputs=[
                io.Latent.Input("destination"),
                io.Latent.Input("source"),
                io.Int.Input("x", default=0, min=0, max=16384, step=8),
                io.Int.Input("y", default=0, min=0, max=16384, step=8),
                io.Boolean.Input("resize_source", default=False),
                io.Mask.Input("mask", optional=True),
            ],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(
        cls,
        destination: Latent,
        source: Latent,
        x: int,
        y: int,
        resize_source: bool,
        mask: torch.Tensor | None = None,
    ) -> NodeOutput:
        samples = paste(
            destination["samples"], source["samples"], x=x, y=y, mask=mask, cell=8, resize_source=resize_source
        )
        return NodeOutput(with_samples(destination, samples))


class SetLatentNoiseMask(Node):
    """Limit denoising to the white parts of a mask, for inpainting."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="SetLatentNoiseMask",
            display_name="Set Latent Noise Mask",
            category="latent/inpaint",
            inputs=[
                io.Latent.Input("samples"),
                io.Mask.Input("mask"),
            ],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, samples: Latent, mask: torch.Tensor) -> NodeOutput:
        return NodeOutput({**samples, "noise_mask": mask.reshape(-1, 1, *mask.shape[-2:])})


def paste(
    destination: torch.Tensor,
    source: torch.Tensor,
    *,
    x: int,
    y: int,
    mask: torch.Tensor | None,
    cell: int,
    resize_source: bool,
) -> torch.Tensor:
    """Paste ``source`` into a copy of ``destination`` (both ``[B, C, H, W]``), where ``mask`` (``[B, H, W]`` in 0..1,
    of any size) is 1. ``x`` and ``y`` are in pixels, ``cell`` of which make one value; they may be outside."""
    result = destination.clone()
    height, width = result.shape[-2:]
    if resize_source:
        source = F.interpolate(source, size=(height, width), mode="bilinear")
    source = repeat_to(source, len(result))
    if mask is None:
        mask = torch.ones_like(source[:, :1])
    else:
        planes = mask.to(source.device).reshape(-1, 1, *mask.shape[-2:])
        mask = repeat_to(F.interpolate(planes, size=source.shape[-2:], mode="bilinear"), len(source))

    left = max(-source.shape[-1] * cell, min(x, width * cell)) // cell
    top = max(-source.shape[-2] * cell, min(y, height * cell)) // cell
    rows = slice(max(0, -top), max(0, min(source.shape[-2], height - top)))
    columns = slice(max(0, -left), max(0, min(source.shape[-1], width - left)))
    target = result[..., top + rows.start : top + rows.stop, left + columns.start : left + columns.stop]
    mask = mask[..., rows, columns]
    target.copy_(mask * source[..., rows, columns] + (torch.ones_like(mask) - mask) * target)
    return result


def _feathered(source: torch.Tensor, destination: torch.Tensor, left: int, top: int, feather: int) -> torch.Tensor:
    """1 inside, decreasing to ``1 / feather`` at the edges that do not touch the destination's border."""
    mask = torch.ones_like(source)
    height, width = source.shape[-2:]
    for step in range(feather):
        factor = (1.0 / feather) * (step + 1)
        if top != 0:
            mask[..., step : step + 1, :] *= factor
        if top + height < destination.shape[-2]:
            mask[..., height - 1 - step : height - step, :] *= factor
        if left != 0:
            mask[..., step : step + 1] *= factor
        if left + width < destination.shape[-1]:
            mask[..., width - 1 - step : width - step] *= factor
    return mask
