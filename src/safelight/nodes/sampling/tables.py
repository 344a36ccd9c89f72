"""Nodes whose noise schedules were found by optimization, and published as tables.

Sabour, Fidler and Kreis, "Align Your Steps: Optimizing Sampling Schedules in Diffusion Models" (2024), with numbers
from the project page; Pei and others, "Optimal Stepsize for Diffusion Sampling" (2025); Chen and others, "On the
Trajectory Regularity of ODE-based Diffusion Sampling" (2024), whose table (``gits.json``) has a row for each
coefficient and number of steps.
"""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch

from safelight.sdk import Node, NodeOutput, Schema, io

ALIGN_YOUR_STEPS = {
    "SD1": (14.6146412293, 6.4745760956, 3.8636745985, 2.6946151520, 1.8841921177, 1.3943805092, 0.9642583904,
            0.6523686016, 0.3977456272, 0.1515232662, 0.0291671582),
    "SDXL": (14.6146412293, 6.3184485287, 3.7681790315, 2.1811480769, 1.3405244945, 0.8620721141, 0.5550693289,
             0.3798540708, 0.2332364134, 0.1114188177, 0.0291671582),
    "SVD": (700.00, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.002),
}  # fmt: skip

OPTIMAL_STEPS = {
    "FLUX": (0.9968, 0.9886, 0.9819, 0.975, 0.966, 0.9471, 0.9158, 0.8287, 0.5512, 0.2808, 0.001),
    "Wan": (1.0, 0.997, 0.995, 0.993, 0.991, 0.989, 0.987, 0.985, 0.98, 0.975, 0.973, 0.968, 0.96, 0.946, 0.927,
            0.902, 0.864, 0.776, 0.539, 0.208, 0.001),
    "Chroma": (0.992, 0.99, 0.988, 0.985, 0.982, 0.978, 0.973, 0.968, 0.961, 0.953, 0.943, 0.931, 0.917, 0.9, 0.881,
               0.858, 0.832, 0.802, 0.769, 0.731, 0.69, 0.646, 0.599, 0.55, 0.501, 0.451, 0.402, 0.355, 0.311, 0.27,
               0.232, 0.199, 0.169, 0.143, 0.12, 0.101, 0.084, 0.07, 0.058, 0.048, 0.001),
}  # fmt: skip


class AlignYourStepsScheduler(Node):
    """Create the noise schedule that NVIDIA found best for few steps (about 10), for each model family."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="AlignYourStepsScheduler",
            category="sampling/custom_sampling/schedulers",
            inputs=[
                io.Combo.Input("model_type", ["SD1", "SDXL", "SVD"]),
                io.Int.Input("steps", default=10, min=1, max=10000),
                io.Float.Input("denoise", default=1.0, min=0.0, max=1.0, step=0.01),
            ],
            outputs=[io.Sigmas.Output()],
        )

    @classmethod
    def execute(cls, model_type: str, steps: int, denoise: float) -> NodeOutput:
        return NodeOutput(_schedule(ALIGN_YOUR_STEPS[model_type], steps=steps, denoise=denoise))


class OptimalStepsScheduler(Node):
    """Create a noise schedule whose few steps follow the path of many steps as closely as possible."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="OptimalStepsScheduler",
            category="sampling/custom_sampling/schedulers",
            inputs=[
                io.Combo.Input("model_type", ["FLUX", "Wan", "Chroma"]),
                io.Int.Input("steps", default=20, min=3, max=1000),
                io.Float.Input("denoise", default=1.0, min=0.0, max=1.0, step=0.01),
            ],
            outputs=[io.Sigmas.Output()],
        )

    @classmethod
    def execute(cls, model_type: str, steps: int, denoise: float) -> NodeOutput:
        return NodeOutput(_schedule(OPTIMAL_STEPS[model_type], steps=steps, denoise=denoise))


class GITSScheduler(Node):
    """Create a noise schedule for Stable Diffusion from the shape of its sampling trajectories. A larger coefficient
    puts more steps at low noise."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="GITSScheduler",
            category="sampling/custom_sampling/schedulers",
            inputs=[
                io.Float.Input("coeff", default=1.2, min=0.8, max=1.5, step=0.05),
                io.Int.Input("steps", default=10, min=2, max=1000),
                io.Float.Input("denoise", default=1.0, min=0.0, max=1.0, step=0.01),
            ],
            outputs=[io.Sigmas.Output()],
        )

    @classmethod
    def execute(cls, coeff: float, steps: int, denoise: float) -> NodeOutput:
        table = _gits()
        rows = table[min(table, key=lambda known: abs(known - coeff))]
        return NodeOutput(_schedule(rows.get(steps, rows[max(rows)]), steps=steps, denoise=denoise))


def _schedule(levels: Sequence[float], *, steps: int, denoise: float) -> torch.Tensor:
    """The last ``denoise`` of ``steps`` steps, ending at 0; empty for a ``denoise`` of 0."""
    if denoise <= 0:
        return torch.zeros(0)
    if steps + 1 != len(levels):
        levels = _resampled(levels, steps + 1)
    kept = round(steps * denoise) if denoise < 1 else steps
    return torch.tensor([*levels[len(levels) - 1 - kept : -1], 0.0])


def _resampled(levels: Sequence[float], count: int) -> list[float]:
    """``count`` levels on the same curve, interpolated linearly between the logarithms."""
    old, new = np.linspace(0, 1, len(levels)), np.linspace(0, 1, count)
    rising = np.log(levels[::-1])
    resampled: list[float] = np.exp(np.interp(new, old, rising))[::-1].tolist()
    return resampled


@cache
def _gits() -> dict[float, dict[int, list[float]]]:
    """Noise levels by coefficient and number of steps. The file lists the levels, and rows of indices into them."""
    written = json.loads(Path(__file__).with_name("gits.json").read_text())
    levels = written["levels"]
    return {
        float(coefficient): {len(row) - 1: [levels[index] for index in row] for row in rows}
        for coefficient, rows in written["rows"].items()
    }
