"""The node that starts a video of HunyuanVideo 1.5 from a picture."""

from typing import Any

import torch

from safelight.models.vision.vision_encoder import VisionOutput
from safelight.nodes.conditioning.options import Conditioning
from safelight.nodes.conditioning.video_frames import (
    empty_latent,
    fitted,
    latent_frames,
    on_both,
    pair_inputs,
    pair_outputs,
    size_inputs,
    video_autoencoder,
)
from safelight.sdk import Node, NodeOutput, Schema, io


class HunyuanVideo15ImageToVideo(Node):
    """Start a video of HunyuanVideo 1.5 from a picture, which becomes its first frame; several become its first frames.
    The model looks at the picture with CLIP vision (SigLIP) too."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="HunyuanVideo15ImageToVideo",
            category="conditioning/video_models",
            inputs=[
                *pair_inputs(),
                *size_inputs(length=33, width=848),
                io.Image.Input("start_image", optional=True),
                io.ClipVisionOutput.Input("clip_vision_output", optional=True),
            ],
            outputs=pair_outputs(),
        )

    @classmethod
    def execute(
        cls,
        positive: Conditioning,
        negative: Conditioning,
        vae: Any,
        width: int,
        height: int,
        length: int,
        batch_size: int,
        start_image: torch.Tensor | None = None,
        clip_vision_output: VisionOutput | None = None,
    ) -> NodeOutput:
        latent = empty_latent(batch_size, 32, length, width=width, height=height, downscale=16)
        options: dict[str, Any] = {}
        if start_image is not None:
            start = fitted(start_image[:length], width, height)
            encoded = video_autoencoder(vae).encode(start)
            picture = torch.zeros_like(latent)
            picture[:, :, : encoded.shape[2]] = encoded
            mask = torch.ones(1, 1, *latent.shape[2:])
            mask[:, :, : latent_frames(len(start))] = 0.0
            options = {"concat_latent_image": picture, "concat_mask": mask}
        if clip_vision_output is not None:
            options["clip_vision_output"] = clip_vision_output
        return NodeOutput(*on_both(positive, negative, options), {"samples": latent})
