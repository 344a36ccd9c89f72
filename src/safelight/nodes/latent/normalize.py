"""The node that matches the start of a video to the rest."""

import torch

from safelight.nodes.latent.samples import Latent, with_samples
from safelight.sdk import Node, NodeOutput, Schema, io

MEAN_DOWN, MEAN_UP = 0.3, 0.35
DEVIATION_DOWN, DEVIATION_UP = 0.35, 0.5
"""How far a frame's mean and standard deviation may change (Kandinsky 5)."""


class NormalizeVideoLatentStart(Node):
    """Match the brightness and contrast of the first frames of a video latent to the frames that follow."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="NormalizeVideoLatentStart",
            category="conditioning/video_models",
            inputs=[
                io.Latent.Input("latent"),
                io.Int.Input("start_frame_count", default=4, min=1, max=16384, step=1),
                io.Int.Input("reference_frame_count", default=5, min=1, max=16384, step=1),
            ],
            outputs=[io.Latent.Output(display_name="latent")],
        )

    @classmethod
    def execute(cls, latent: Latent, start_frame_count: int, reference_frame_count: int) -> NodeOutput:
        samples = latent["samples"]
        frames = samples.shape[2]
        if frames <= 1:
            return NodeOutput(latent)
        start = min(start_frame_count, frames - 1)
        first = samples[:, :, :start]
        reference = samples[:, :, start : start + min(reference_frame_count, frames - 1)]
        result = samples.clone()
        result[:, :, :start] = _matched(first, reference)
        return NodeOutput(with_samples(latent, result))


def _matched(source: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Each frame of ``source`` with the mean and standard deviation of all of ``reference``, within the limits."""
    frame = (1, 3, 4)
    mean, deviation = source.mean(frame, keepdim=True), source.std(frame, keepdim=True)
    wanted_mean = torch.clamp(reference.mean(), mean - MEAN_DOWN, mean + MEAN_UP)
    wanted_deviation = torch.clamp(reference.std(), deviation - DEVIATION_DOWN, deviation + DEVIATION_UP)
    return (source - mean) / (deviation + 1e-8) * wanted_deviation + wanted_mean
