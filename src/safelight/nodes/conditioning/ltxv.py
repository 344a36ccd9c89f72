"""Conditioning of LTX-Video models: the frame rate, and guide frames at the end of a latent."""

from typing import Any

import torch

from safelight.nodes.conditioning.options import Conditioning, with_options
from safelight.sdk import Node, NodeOutput, Schema, io


class LTXVConditioning(Node):
    """Set the frame rate of the video for an LTX-Video model."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LTXVConditioning",
            category="conditioning/video_models",
            inputs=[
                io.Conditioning.Input("positive"),
                io.Conditioning.Input("negative"),
                io.Float.Input("frame_rate", default=25.0, min=0.0, max=1000.0, step=0.01),
            ],
            outputs=[io.Conditioning.Output(display_name="positive"), io.Conditioning.Output(display_name="negative")],
        )

    @classmethod
    def execute(cls, positive: Conditioning, negative: Conditioning, frame_rate: float) -> NodeOutput:
        return NodeOutput(*[with_options(one, {"frame_rate": frame_rate}) for one in (positive, negative)])


class LTXVCropGuides(Node):
    """Remove the guide frames that were appended to a video latent."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LTXVCropGuides",
            category="conditioning/video_models",
            inputs=[
                io.Conditioning.Input("positive"),
                io.Conditioning.Input("negative"),
                io.Latent.Input("latent"),
            ],
            outputs=[
                io.Conditioning.Output(display_name="positive"),
                io.Conditioning.Output(display_name="negative"),
                io.Latent.Output(display_name="latent"),
            ],
        )

    @classmethod
    def execute(cls, positive: Conditioning, negative: Conditioning, latent: dict[str, Any]) -> NodeOutput:
        samples = latent["samples"]
        mask = latent.get("noise_mask")
        if mask is None:
            mask = torch.ones((samples.shape[0], 1, samples.shape[2], 1, 1), device=samples.device)
        frames = guiding_frames(positive)
        if frames == 0:
            return NodeOutput(positive, negative, {"samples": samples, "noise_mask": mask})
        kept = {"samples": samples[:, :, :-frames], "noise_mask": mask[:, :, :-frames]}
        return NodeOutput(*[with_options(one, {"keyframe_idxs": None}) for one in (positive, negative)], kept)


def guiding_frames(conditioning: Conditioning) -> int:
    """The number of latent frames that guide: the distinct times among the positions ``[B, (t, y, x), tokens, (from,
    to)]`` that a guide stores as ``keyframe_idxs``."""
    for _, options in conditioning:
        if (positions := options.get("keyframe_idxs")) is not None:
            return len(torch.unique(positions[:, 0, :, 0]))
    return 0
