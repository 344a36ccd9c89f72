"""Nodes that compute a noise schedule from a formula.

Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models" (2022), for Karras' and the
variance-preserving one; Hang et al., "Improved Noise Schedule for Diffusion Training" (2024), for the Laplace one.
"""

import math

import torch

from safelight.models.sampling.schedules import exponential, karras
from safelight.sdk import Node, NodeOutput, Schema, io


class KarrasScheduler(Node):
    """Create a noise schedule whose rho-th roots are evenly spaced. Karras et al. advise rho = 7."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="KarrasScheduler",
            category="sampling/custom_sampling/schedulers",
            inputs=[
                io.Int.Input("steps", default=20, min=1, max=10000),
                io.Float.Input("sigma_max", default=14.614642, min=0.0, max=5000.0, step=0.01, round=False),
                io.Float.Input("sigma_min", default=0.0291675, min=0.0, max=5000.0, step=0.01, round=False),
                io.Float.Input("rho", default=7.0, min=0.0, max=100.0, step=0.01, round=False),
            ],
            outputs=[io.Sigmas.Output()],
        )

    @classmethod
    def execute(cls, steps: int, sigma_max: float, sigma_min: float, rho: float) -> NodeOutput:
        return NodeOutput(karras(steps, sigma_max, sigma_min, rho=rho))


class ExponentialScheduler(Node):
    """Create a noise schedule whose logarithms are evenly spaced."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ExponentialScheduler",
            category="sampling/custom_sampling/schedulers",
            inputs=[
                io.Int.Input("steps", default=20, min=1, max=10000),
                io.Float.Input("sigma_max", default=14.614642, min=0.0, max=5000.0, step=0.01, round=False),
                io.Float.Input("sigma_min", default=0.0291675, min=0.0, max=5000.0, step=0.01, round=False),
            ],
            outputs=[io.Sigmas.Output()],
        )

    @classmethod
    def execute(cls, steps: int, sigma_max: float, sigma_min: float) -> NodeOutput:
        return NodeOutput(exponential(steps, sigma_max, sigma_min))


class PolyexponentialScheduler(Node):
    """Create a noise schedule whose logarithms are spaced by a power: evenly with rho = 1, closer together at the end
    with more."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="PolyexponentialScheduler",
            category="sampling/custom_sampling/schedulers",
            inputs=[
                io.Int.Input("steps", default=20, min=1, max=10000),
                io.Float.Input("sigma_max", default=14.614642, min=0.0, max=5000.0, step=0.01, round=False),
                io.Float.Input("sigma_min", default=0.0291675, min=0.0, max=5000.0, step=0.01, round=False),
                io.Float.Input("rho", default=1.0, min=0.0, max=100.0, step=0.01, round=False),
            ],
            outputs=[io.Sigmas.Output()],
        )

    @classmethod
    def execute(cls, steps: int, sigma_max: float, sigma_min: float, rho: float) -> NodeOutput:
        ramp = torch.linspace(1, 0, steps) ** rho
        smallest, largest = math.log(sigma_min), math.log(sigma_max)
        return NodeOutput(_to_zero(torch.exp(ramp * (largest - smallest) + smallest)))


class LaplaceScheduler(Node):
    """Create a noise schedule whose logarithms follow a Laplace distribution with mean "mu" and scale "beta". The last
    level is not 0."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LaplaceScheduler",
            category="sampling/custom_sampling/schedulers",
            inputs=[
                io.Int.Input("steps", default=20, min=1, max=10000),
                io.Float.Input("sigma_max", default=14.614642, min=0.0, max=5000.0, step=0.01, round=False),
                io.Float.Input("sigma_min", default=0.0291675, min=0.0, max=5000.0, step=0.01, round=False),
                io.Float.Input("mu", default=0.0, min=-10.0, max=10.0, step=0.1, round=False),
                io.Float.Input("beta", default=0.5, min=0.0, max=10.0, step=0.1, round=False),
            ],
            outputs=[io.Sigmas.Output()],
        )

    @classmethod
    def execute(cls, steps: int, sigma_max: float, sigma_min: float, mu: float, beta: float) -> NodeOutput:
        epsilon = 1e-5  # keeps the logarithm finite at both ends
        x = torch.linspace(0, 1, steps)
        quantile = mu - beta * torch.sign(0.5 - x) * torch.log(1 - 2 * torch.abs(0.5 - x) + epsilon)
        return NodeOutput(torch.clamp(torch.exp(quantile), min=sigma_min, max=sigma_max))


class VPScheduler(Node):
    """Create the noise schedule of a variance-preserving process whose beta grows linearly."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="VPScheduler",
            category="sampling/custom_sampling/schedulers",
            inputs=[
                io.Int.Input("steps", default=20, min=1, max=10000),
                io.Float.Input("beta_d", default=19.9, min=0.0, max=5000.0, step=0.01, round=False),
                io.Float.Input("beta_min", default=0.1, min=0.0, max=5000.0, step=0.01, round=False),
                io.Float.Input("eps_s", default=0.001, min=0.0, max=1.0, step=0.0001, round=False),
            ],
            outputs=[io.Sigmas.Output()],
        )

    @classmethod
    def execute(cls, steps: int, beta_d: float, beta_min: float, eps_s: float) -> NodeOutput:
        t = torch.linspace(1, eps_s, steps)
        return NodeOutput(_to_zero(torch.sqrt(torch.special.expm1(beta_d * t**2 / 2 + beta_min * t))))


def _to_zero(sigmas: torch.Tensor) -> torch.Tensor:
    return torch.cat([sigmas, sigmas.new_zeros(1)])
