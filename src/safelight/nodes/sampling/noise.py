"""Sources of the noise that sampling starts from."""

from dataclasses import dataclass
from typing import Protocol

import torch

from safelight.models.nested import NestedTensor, Samples
from safelight.nodes.latent.samples import Latent
from safelight.sdk import Node, NodeOutput, Schema, io


class NoiseSource(Protocol):
    """``seed`` also seeds the noise that some samplers add inside their steps."""

    @property
    def seed(self) -> int: ...

    def generate_noise(self, latent: Latent) -> Samples:
        """Noise in the shape of the latent's samples, on the CPU."""
        ...


class RandomNoise(Node):
    """Create noise from a seed. The same seed gives the same noise on every machine."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="RandomNoise",
            category="sampling/custom_sampling/noise",
            inputs=[
                io.Int.Input("noise_seed", default=0, min=0, max=18446744073709551615, control_after_generate=True),
            ],
            outputs=[io.Noise.Output()],
        )

    @classmethod
    def execute(cls, noise_seed: int) -> NodeOutput:
        return NodeOutput(SeededNoise(noise_seed))


class DisableNoise(Node):
    """Add no noise: sampling starts from the latent as it is."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="DisableNoise",
            category="sampling/custom_sampling/noise",
            outputs=[io.Noise.Output()],
        )

    @classmethod
    def execute(cls) -> NodeOutput:
        return NodeOutput(NoNoise())


@dataclass(frozen=True)
class SeededNoise:
    """Normal noise, drawn on the CPU from one generator. Batch items draw in turn, so that the item with batch index n
    gets what the n-th item of a larger batch would get."""

    seed: int

    def generate_noise(self, latent: Latent) -> Samples:
        generator = torch.Generator().manual_seed(self.seed)
        indices = latent.get("batch_index")
        samples = latent["samples"]
        if isinstance(samples, NestedTensor):
            return samples.map(lambda tensor: _drawn(tensor, generator, indices))
        return _drawn(samples, generator, indices)


@dataclass(frozen=True)
class NoNoise:
    seed: int = 0

    def generate_noise(self, latent: Latent) -> Samples:
        samples = latent["samples"]
        if isinstance(samples, NestedTensor):
            return samples.map(_zeros)
        return _zeros(samples)


def _drawn(like: torch.Tensor, generator: torch.Generator, indices: list[int] | None) -> torch.Tensor:
    if indices is None:
        return torch.randn(like.shape, dtype=like.dtype, layout=like.layout, generator=generator)
    one = (1, *like.shape[1:])
    draws = [torch.randn(one, dtype=like.dtype, generator=generator) for _ in range(max(indices) + 1)]
    return torch.cat([draws[index] for index in indices])


def _zeros(like: torch.Tensor) -> torch.Tensor:
    return torch.zeros(like.shape, dtype=like.dtype, layout=like.layout)
