"""Noise schedules of flow models, which shift evenly spaced times towards noise, more so for larger images."""

import math

import torch

from safelight.nodes.latent.samples import Latent
from safelight.sdk import Node, NodeOutput, Schema, io


class Flux2Scheduler(Node):
    """Create the noise schedule of Flux 2 for an image size in pixels and a number of steps."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="Flux2Scheduler",
            category="sampling/custom_sampling/schedulers",
            inputs=[
                io.Int.Input("steps", default=20, min=1, max=4096),
                io.Int.Input("width", default=1024, min=16, max=16384, step=1),
                io.Int.Input("height", default=1024, min=16, max=16384, step=1),
            ],
            outputs=[io.Sigmas.Output()],
        )

    @classmethod
    def execute(cls, steps: int, width: int, height: int) -> NodeOutput:
        return NodeOutput(shifted(torch.linspace(1, 0, steps + 1), flux2_shift(round(width * height / 256), steps)))


class LTXVScheduler(Node):
    """Create the noise schedule of LTX-Video. The shift grows with the latent, from "base_shift" at 1024 tokens to
    "max_shift" at 4096 (assumed without a latent). With "stretch", the last step starts at "terminal"."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LTXVScheduler",
            category="sampling/custom_sampling/schedulers",
            inputs=[
                io.Int.Input("steps", default=20, min=1, max=10000),
                io.Float.Input("max_shift", default=2.05, min=0.0, max=100.0, step=0.01),
                io.Float.Input("base_shift", default=0.95, min=0.0, max=100.0, step=0.01),
                io.Boolean.Input("stretch", default=True),
                io.Float.Input("terminal", default=0.1, min=0.0, max=0.99, step=0.01),
                io.Latent.Input("latent", optional=True),
            ],
            outputs=[io.Sigmas.Output()],
        )

    @classmethod
    def execute(
        cls,
        steps: int,
        max_shift: float,
        base_shift: float,
        stretch: bool,
        terminal: float,
        latent: Latent | None = None,
    ) -> NodeOutput:
        log_shift = ltxv_shift(latent, max_shift=max_shift, base_shift=base_shift)
        sigmas = shifted(torch.linspace(1.0, 0.0, steps + 1), log_shift)
        if stretch:
            sigmas = _stretched(sigmas, terminal)
        return NodeOutput(sigmas)


def ltxv_shift(latent: Latent | None, *, max_shift: float, base_shift: float) -> float:
    """The logarithm of the shift: linear in the number of positions of a video latent."""
    cells = 4096 if latent is None else math.prod(latent["samples"].shape[2:])
    slope = (max_shift - base_shift) / (4096 - 1024)
    return cells * slope + (base_shift - slope * 1024)


def flux2_shift(tokens: int, steps: int) -> float:
    """The logarithm of the shift, as fitted by Black Forest Labs: linear in the number of tokens for 10 and for 200
    steps, and linear in the number of steps between them; above 4300 tokens, the value for 200 steps."""
    at_10 = 8.73809524e-05 * tokens + 1.89833333
    at_200 = 0.00016927 * tokens + 0.45666666
    if tokens > 4300:
        return at_200
    slope = (at_200 - at_10) / 190.0
    return slope * steps + (at_200 - 200.0 * slope)


def shifted(times: torch.Tensor, shift: float) -> torch.Tensor:
    """``e^shift / (e^shift + 1/t - 1)``; 0 stays 0."""
    factor = math.exp(shift)
    return torch.where(times != 0, factor / (factor + (1 / times - 1)), 0.0)


def _stretched(sigmas: torch.Tensor, terminal: float) -> torch.Tensor:
    """Scale the distances from 1 so that the last level above 0 is ``terminal``."""
    above = sigmas != 0
    distances = 1.0 - sigmas[above]
    stretched = sigmas.clone()
    if distances[-1] == 0:  # a single step without a shift: there is nothing to scale
        stretched[-2] = terminal
    else:
        stretched[above] = 1.0 - distances / (distances[-1] / (1.0 - terminal))
    return stretched
