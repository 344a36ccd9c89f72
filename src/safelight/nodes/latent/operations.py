"""Operations on latents as values, which can be applied once or inside every sampling step."""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)

from safelight.nodes.latent.samples import Latent, with_samples
from safelight.sdk import Node, NodeOutput, Schema, io


class Operation(Protocol):
    """Called with ``latent=``, and with more arguments that it may ignore; returns a tensor of the same shape."""

    def __call__(self, latent: torch.Tensor, **rest: Any) -> torch.Tensor: ...


class LatentApplyOperation(Node):
    """Apply an operation to a latent."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LatentApplyOperation",
            category="latent/advanced/operations",
            inputs=[
                io.Latent.Input("samples"),
                io.LatentOperation.Input("operation"),
            ],
            outputs=[io.Latent.Output()],
            is_experimental=True,
        )

    @classmethod
    def execute(cls, samples: Latent, operation: Operation) -> NodeOutput:
        return NodeOutput(with_samples(samples, operation(latent=samples["samples"])))


class LatentOperationSharpen(Node):
    """Create an operation that sharpens a latent, by adding back what a Gaussian blur of that radius removes. "alpha"
    is the strength."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LatentOperationSharpen",
            category="latent/advanced/operations",
            inputs=[
                io.Int.Input("sharpen_radius", default=9, min=1, max=31, step=1),
                io.Float.Input("sigma", default=1.0, min=0.1, max=10.0, step=0.1),
                io.Float.Input("alpha", default=0.1, min=0.0, max=5.0, step=0.01),
            ],
            outputs=[io.LatentOperation.Output()],
            is_experimental=True,
        )

    @classmethod
    def execute(cls, sharpen_radius: int, sigma: float, alpha: float) -> NodeOutput:
        return NodeOutput(Sharpen(sharpen_radius, sigma, alpha))


class LatentOperationTonemapReinhard(Node):
    """Create an operation that compresses the largest values of a latent, by Reinhard's tone curve."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LatentOperationTonemapReinhard",
            category="latent/advanced/operations",
            inputs=[
                io.Float.Input("multiplier", default=1.0, min=0.0, max=100.0, step=0.01),
            ],
            outputs=[io.LatentOperation.Output()],
            is_experimental=True,
        )

    @classmethod
    def execute(cls, multiplier: float) -> NodeOutput:
        return NodeOutput(TonemapReinhard(multiplier))


@dataclass(frozen=True)
class Sharpen:
    radius: int
    sigma: float
    alpha: float

    def __call__(self, latent: torch.Tensor, **rest: Any) -> torch.Tensor:
        """``[B, C, H, W]``, H and W larger than the radius. The directions of the channel vectors are sharpened."""
        length: torch.Tensor = (torch.linalg.vector_norm(latent, dim=1) + 1e-6)[:, None]
        channels = latent.shape[1]
        kernel = self._kernel().to(latent).repeat(channels, 1, 1).unsqueeze(1)
        padded = F.pad(latent / length, (self.radius,) * 4, "reflect")
        sharpened = F.conv2d(padded, kernel, padding=self.radius, groups=channels)
        sharpened = sharpened[:, :, self.radius : -self.radius, self.radius : -self.radius]
        return length * sharpened

    def _kernel(self) -> torch.Tensor:
        """A negative Gaussian with a center that makes the sum 1."""
        axis = torch.linspace(-1, 1, 2 * self.radius + 1)
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        distance = torch.sqrt(x * x + y * y)
        bell = torch.exp(-(distance * distance) / (2.0 * self.sigma * self.sigma))
        kernel = bell / bell.sum() * -(self.alpha * 10)
        kernel[self.radius, self.radius] = kernel[self.radius, self.radius] - kernel.sum() + 1.0
        return kernel


@dataclass(frozen=True)
class TonemapReinhard:
    multiplier: float

    def __call__(self, latent: torch.Tensor, **rest: Any) -> torch.Tensor:
        """``[B, C, ...]``. White is five standard deviations above the mean magnitude of the channel vectors."""
        length: torch.Tensor = (torch.linalg.vector_norm(latent, dim=1) + 1e-10)[:, None]
        direction = latent / length
        dimensions = list(range(1, length.ndim))
        mean = torch.mean(length, dim=dimensions, keepdim=True)
        deviation = torch.std(length, dim=dimensions, keepdim=True)
        white = (deviation * 5 + mean) * self.multiplier
        length = length * (1.0 / white)
        return direction * (length / (length + 1.0) * white)
