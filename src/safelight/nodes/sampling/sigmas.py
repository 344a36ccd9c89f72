"""Nodes that write, split and change a noise schedule (sigmas)."""

import itertools
import math
import re
from collections.abc import Callable

import torch

from safelight.sdk import Node, NodeOutput, Schema, io

NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")

SPACINGS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "linear": lambda x: x,
    "cosine": lambda x: torch.sin(x * math.pi / 2),
    "sine": lambda x: 1 - torch.cos(x * math.pi / 2),
}
"""The share (0..1) of the distance between two noise levels, at the share ``x`` of the steps between them."""


class ManualSigmas(Node):
    """Write a noise schedule by hand: numbers with any separators."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ManualSigmas",
            category="_for_testing/custom_sampling",
            inputs=[
                io.String.Input("sigmas", default="1, 0.5"),
            ],
            outputs=[io.Sigmas.Output()],
            is_experimental=True,
        )

    @classmethod
    def execute(cls, sigmas: str) -> NodeOutput:
        return NodeOutput(torch.tensor([float(number) for number in NUMBER.findall(sigmas)]))


class FlipSigmas(Node):
    """Reverse a noise schedule, to add noise instead of removing it. It then starts just above 0."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="FlipSigmas",
            category="sampling/custom_sampling/sigmas",
            inputs=[
                io.Sigmas.Input("sigmas"),
            ],
            outputs=[io.Sigmas.Output()],
        )

    @classmethod
    def execute(cls, sigmas: torch.Tensor) -> NodeOutput:
        flipped = sigmas.flip(0)
        if len(flipped) and flipped[0] == 0:
            flipped[0] = 0.0001
        return NodeOutput(flipped)


class SplitSigmas(Node):
    """Split a noise schedule at a step. The second part starts where the first ends."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="SplitSigmas",
            category="sampling/custom_sampling/sigmas",
            inputs=[
                io.Sigmas.Input("sigmas"),
                io.Int.Input("step", default=0, min=0, max=10000),
            ],
            outputs=[io.Sigmas.Output(display_name="high_sigmas"), io.Sigmas.Output(display_name="low_sigmas")],
        )

    @classmethod
    def execute(cls, sigmas: torch.Tensor, step: int) -> NodeOutput:
        return NodeOutput(sigmas[: step + 1], sigmas[step:])


class SplitSigmasDenoise(Node):
    """Split a noise schedule so that the second part has the share "denoise" of the steps."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="SplitSigmasDenoise",
            category="sampling/custom_sampling/sigmas",
            inputs=[
                io.Sigmas.Input("sigmas"),
                io.Float.Input("denoise", default=1.0, min=0.0, max=1.0, step=0.01),
            ],
            outputs=[io.Sigmas.Output(display_name="high_sigmas"), io.Sigmas.Output(display_name="low_sigmas")],
        )

    @classmethod
    def execute(cls, sigmas: torch.Tensor, denoise: float) -> NodeOutput:
        steps = round(max(len(sigmas) - 1, 0) * denoise)
        return NodeOutput(sigmas[:-steps] if steps else sigmas[:0], sigmas[-(steps + 1) :])


class SetFirstSigma(Node):
    """Replace the first noise level of a schedule."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="SetFirstSigma",
            category="sampling/custom_sampling/sigmas",
            inputs=[
                io.Sigmas.Input("sigmas"),
                io.Float.Input("sigma", default=136.0, min=0.0, max=20000.0, step=0.001, round=False),
            ],
            outputs=[io.Sigmas.Output()],
        )

    @classmethod
    def execute(cls, sigmas: torch.Tensor, sigma: float) -> NodeOutput:
        changed = sigmas.clone()
        changed[0] = sigma
        return NodeOutput(changed)


class ExtendIntermediateSigmas(Node):
    """Split each step of a noise schedule that starts between two noise levels into "steps" smaller ones. A
    "start_at_sigma" of -1 means from the beginning."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ExtendIntermediateSigmas",
            category="sampling/custom_sampling/sigmas",
            inputs=[
                io.Sigmas.Input("sigmas"),
                io.Int.Input("steps", default=2, min=1, max=100),
                io.Float.Input("start_at_sigma", default=-1.0, min=-1.0, max=20000.0, step=0.01, round=False),
                io.Float.Input("end_at_sigma", default=12.0, min=0.0, max=20000.0, step=0.01, round=False),
                io.Combo.Input("spacing", ["linear", "cosine", "sine"]),
            ],
            outputs=[io.Sigmas.Output()],
        )

    @classmethod
    def execute(
        cls, sigmas: torch.Tensor, steps: int, start_at_sigma: float, end_at_sigma: float, spacing: str
    ) -> NodeOutput:
        start = math.inf if start_at_sigma < 0 else start_at_sigma
        between = SPACINGS[spacing](torch.linspace(0, 1, steps + 1, device=sigmas.device)[1:-1])
        extended = []
        for current, following in itertools.pairwise(sigmas):
            extended.append(current[None])
            if end_at_sigma <= current <= start:
                extended.append(between * (following - current) + current)
        return NodeOutput(torch.cat([*extended, sigmas[-1:]]))
