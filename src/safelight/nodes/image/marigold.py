"""What Marigold v2 predicts, as pictures."""

import torch
from torch.nn import functional

from safelight.sdk import Node, NodeOutput, Schema, io

_LINEAR_LIMIT = 0.0031308
"""Below it, sRGB is a multiple of linear light (IEC 61966-2-1)."""


class MarigoldV2PostProcess(Node):
    """Show a decoded prediction of Marigold v2: depth with what is near bright, normals of unit length, or albedo in
    sRGB."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="MarigoldV2PostProcess",
            display_name="Marigold V2 Post-Process",
            category="image/postprocessing",
            inputs=[
                io.Image.Input("image"),
                io.Combo.Input("prediction", ("depth", "normals", "albedo")),
            ],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, image: torch.Tensor, prediction: str) -> NodeOutput:
        made = {"depth": _depth, "normals": _normals, "albedo": _albedo}[prediction](image[..., :3])
        return NodeOutput(made.clamp(0, 1))


def _depth(image: torch.Tensor) -> torch.Tensor:
    """From the nearest, 1, to the farthest, 0, of each picture."""
    depth = image.mean(dim=-1, keepdim=True)
    nearest, farthest = depth.amin(dim=(1, 2), keepdim=True), depth.amax(dim=(1, 2), keepdim=True)
    return (1 - (depth - nearest) / (farthest - nearest).clamp_min(1e-6)).expand(-1, -1, -1, 3)


def _normals(image: torch.Tensor) -> torch.Tensor:
    return (functional.normalize(image * 2 - 1, dim=-1) + 1) / 2


def _albedo(image: torch.Tensor) -> torch.Tensor:
    linear = image.clamp(0, 1)
    curved = 1.055 * linear.clamp_min(_LINEAR_LIMIT) ** (1 / 2.4) - 0.055
    return torch.where(linear <= _LINEAR_LIMIT, linear * 12.92, curved)
