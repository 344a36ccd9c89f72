"""Edge detection with Canny's method: smoothing, gradients, thinning, two thresholds."""

import math

import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)

from safelight.sdk import Node, NodeOutput, Schema, io


class Canny(Node):
    """Find the edges of an image, white on black. Pixels above the high threshold are edges; pixels above the low
    threshold are edges where they connect to one."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="Canny",
            category="image/preprocessors",
            inputs=[
                io.Image.Input("image"),
                io.Float.Input("low_threshold", default=0.4, min=0.01, max=0.99, step=0.01),
                io.Float.Input("high_threshold", default=0.8, min=0.01, max=0.99, step=0.01),
            ],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, image: torch.Tensor, low_threshold: float, high_threshold: float) -> NodeOutput:
        if low_threshold > high_threshold:
            raise ValueError(f"low_threshold {low_threshold} is above high_threshold {high_threshold}")
        gray = image[..., 0] * 0.299 + image[..., 1] * 0.587 + image[..., 2] * 0.114
        edges = find_edges(gray.unsqueeze(1), low_threshold, high_threshold)
        return NodeOutput(edges.to(image.dtype).movedim(1, -1).repeat(1, 1, 1, 3))


TIE = 2e-6
"""Two strengths (at most 5.7) that differ by less are treated as equal; otherwise the processor's rounding would decide
which is larger."""


def find_edges(gray: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Booleans ``[B, 1, H, W]``."""
    down, right = _gradients(_smooth(gray))
    strength = torch.sqrt(right * right + down * down + 1e-6)
    thin = strength * _is_ridge(strength, torch.atan2(down, right))
    return _join(weak=thin > low, strong=thin > high)


def _smooth(planes: torch.Tensor) -> torch.Tensor:
    """A Gaussian of 5 x 5 pixels and sigma 1, mirrored at the borders."""
    at = torch.arange(5, device=planes.device, dtype=planes.dtype) - 2
    weights = torch.exp(-at.pow(2.0) / 2)
    weights = weights / weights.sum()
    padded = F.pad(planes, (2, 2, 2, 2), mode="reflect")
    return F.conv2d(F.conv2d(padded, weights.view(1, 1, 1, 5)), weights.view(1, 1, 5, 1))


def _gradients(planes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Sobel gradients, downwards and to the right; border pixels are repeated."""
    right = planes.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
    padded = F.pad(planes, (1, 1, 1, 1), mode="replicate")
    return F.conv2d(padded, right.T.view(1, 1, 3, 3)), F.conv2d(padded, right.view(1, 1, 3, 3))


def _is_ridge(strength: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """Where the strength is above that of both neighbors along the gradient, in the nearest of eight directions.

    A clean step is equally strong on both sides: the pixel to the left, or above, is then its edge."""
    height, width = strength.shape[-2:]
    padded = F.pad(strength, (1, 1, 1, 1))
    octant = torch.round(angle * (180.0 / math.pi) / 45.0).long() % 4
    ridge = torch.zeros_like(strength, dtype=torch.bool)
    for direction, (dy, dx) in enumerate([(0, 1), (1, 1), (1, 0), (1, -1)]):
        ahead = padded[..., 1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
        behind = padded[..., 1 - dy : 1 - dy + height, 1 - dx : 1 - dx + width]
        ridge |= (octant == direction) & (strength > ahead - TIE) & (strength > behind + TIE)
    return ridge


def _join(*, weak: torch.Tensor, strong: torch.Tensor) -> torch.Tensor:
    """The strong edges, and the weak ones connected to them directly or through other weak ones."""
    edges = strong
    while True:
        near = F.max_pool2d(edges.float(), 3, stride=1, padding=1) > 0
        grown = strong | (weak & near)
        if torch.equal(grown, edges):
            return edges
        edges = grown
