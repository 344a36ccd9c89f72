"""Evening out the start of a video with what follows."""

import torch

from safelight.nodes.latent.value import Latent, with_samples
from safelight.sdk import Node, NodeOutput, Schema, io


class NormalizeVideoLatentStart(Node):
    """Give the first frames of a video latent the brightness and contrast of the frames that follow them."""

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
    """Each frame of ``source`` with the mean and the deviation of all of ``reference``."""
    frame, video = (1, 3, 4), (1, 2, 3, 4)
    flat = (source - source.mean(frame, keepdim=True)) / source.std(frame, keepdim=True)
    return flat * reference.std(video, keepdim=True) + reference.mean(video, keepdim=True)
