"""Nodes that add, mix and multiply latents. The second latent is scaled to the size of the first."""

import torch

from safelight.nodes.latent.samples import Latent, fit, resize_samples, with_samples
from safelight.sdk import Node, NodeOutput, Schema, io


class LatentAdd(Node):
    """Add two latents."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LatentAdd",
            category="latent/advanced",
            inputs=[
                io.Latent.Input("samples1"),
                io.Latent.Input("samples2"),
            ],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, samples1: Latent, samples2: Latent) -> NodeOutput:
        one = samples1["samples"]
        return NodeOutput(with_samples(samples1, one + fit(samples2["samples"], one)))


class LatentSubtract(Node):
    """Subtract the second latent from the first."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LatentSubtract",
            category="latent/advanced",
            inputs=[
                io.Latent.Input("samples1"),
                io.Latent.Input("samples2"),
            ],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, samples1: Latent, samples2: Latent) -> NodeOutput:
        one = samples1["samples"]
        return NodeOutput(with_samples(samples1, one - fit(samples2["samples"], one)))


class LatentMultiply(Node):
    """Multiply a latent by a number."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LatentMultiply",
            category="latent/advanced",
            inputs=[
                io.Latent.Input("samples"),
                io.Float.Input("multiplier", default=1.0, min=-10.0, max=10.0, step=0.01),
            ],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, samples: Latent, multiplier: float) -> NodeOutput:
        return NodeOutput(with_samples(samples, samples["samples"] * multiplier))


class LatentInterpolate(Node):
    """Interpolate between two latents. Direction and magnitude are interpolated separately, so that the result is not
    weaker than its parts. A ratio of 1 returns the first latent, 0 the second."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LatentInterpolate",
            category="latent/advanced",
            inputs=[
                io.Latent.Input("samples1"),
                io.Latent.Input("samples2"),
                io.Float.Input("ratio", default=1.0, min=0.0, max=1.0, step=0.01),
            ],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, samples1: Latent, samples2: Latent, ratio: float) -> NodeOutput:
        one = samples1["samples"]
        other = fit(samples2["samples"], one)
        length, other_length = _length(one), _length(other)
        mixed = (one / length).nan_to_num() * ratio + (other / other_length).nan_to_num() * (1.0 - ratio)
        direction = (mixed / _length(mixed)).nan_to_num()
        return NodeOutput(with_samples(samples1, direction * (length * ratio + other_length * (1.0 - ratio))))


class LatentBlend(Node):
    """Blend two latents. A factor of 1 returns the first, 0 the second."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LatentBlend",
            display_name="Latent Blend",
            category="_for_testing",
            inputs=[
                io.Latent.Input("samples1"),
                io.Latent.Input("samples2"),
                io.Float.Input("blend_factor", default=0.5, min=0, max=1, step=0.01),
            ],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, samples1: Latent, samples2: Latent, blend_factor: float) -> NodeOutput:
        one, other = samples1["samples"], samples2["samples"]
        if one.shape != other.shape:
            other = resize_samples(other, one.shape[-1], one.shape[-2], method="bicubic", crop="center")
        return NodeOutput(with_samples(samples1, one * blend_factor + other * (1 - blend_factor)))


def _length(samples: torch.Tensor) -> torch.Tensor:
    """The magnitude of the vector of channels at each position."""
    length: torch.Tensor = torch.linalg.vector_norm(samples, dim=1, keepdim=True)
    return length
