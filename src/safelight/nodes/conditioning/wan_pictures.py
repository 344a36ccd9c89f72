"""Nodes that start a video of Wan from pictures: the first frame, the first and the last, or the latent of the small
model of Wan 2.2."""

from typing import Any

import torch

from safelight.models.vision.vision_encoder import VisionOutput
from safelight.nodes.conditioning.options import Conditioning
from safelight.nodes.conditioning.video_frames import (
    empty_latent,
    fitted,
    frame_mask,
    gray_canvas,
    latent_frames,
    on_both,
    pair_inputs,
    pair_outputs,
    size_inputs,
    video_autoencoder,
)
from safelight.nodes.latent.samples import Latent
from safelight.sdk import Node, NodeOutput, Schema, io


class WanImageToVideo(Node):
    """Start a Wan video from a picture, which becomes its first frame; several become its first frames. Models that
    look at the picture with CLIP vision need its output too."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="WanImageToVideo",
            category="conditioning/video_models",
            inputs=[
                *pair_inputs(),
                *size_inputs(),
                io.ClipVisionOutput.Input("clip_vision_output", optional=True),
                io.Image.Input("start_image", optional=True),
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
        clip_vision_output: VisionOutput | None = None,
        start_image: torch.Tensor | None = None,
    ) -> NodeOutput:
        latent = empty_latent(batch_size, 16, length, width=width, height=height)
        options: dict[str, Any] = {}
        if start_image is not None:
            canvas = gray_canvas(length, width, height)
            start = fitted(start_image[:length], width, height)
            canvas[: len(start)] = start
            encoded = video_autoencoder(vae).encode(canvas)
            mask = torch.ones(1, 1, latent.shape[2], *encoded.shape[-2:])
            mask[:, :, : latent_frames(len(start))] = 0.0
            options = {"concat_latent_image": encoded, "concat_mask": mask}
        if clip_vision_output is not None:
            options["clip_vision_output"] = clip_vision_output
        return NodeOutput(*on_both(positive, negative, options), {"samples": latent})


class WanFirstLastFrameToVideo(Node):
    """Make a Wan video between two pictures: its first frame and its last one. Either may be missing."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="WanFirstLastFrameToVideo",
            category="conditioning/video_models",
            inputs=[
                *pair_inputs(),
                *size_inputs(),
                io.ClipVisionOutput.Input("clip_vision_start_image", optional=True),
                io.ClipVisionOutput.Input("clip_vision_end_image", optional=True),
                io.Image.Input("start_image", optional=True),
                io.Image.Input("end_image", optional=True),
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
        clip_vision_start_image: VisionOutput | None = None,
        clip_vision_end_image: VisionOutput | None = None,
        start_image: torch.Tensor | None = None,
        end_image: torch.Tensor | None = None,
    ) -> NodeOutput:
        encoder = video_autoencoder(vae)
        latent = empty_latent(
            batch_size, encoder.latent_channels, length, width=width, height=height, downscale=encoder.downscale
        )
        canvas = gray_canvas(length, width, height)
        first = last = 0
        if start_image is not None:
            start = fitted(start_image[:length], width, height)
            first = len(start)
            canvas[:first] = start
        if end_image is not None:
            end = fitted(end_image[-length:], width, height)
            last = len(end)
            canvas[-last:] = end
        options: dict[str, Any] = {
            "concat_latent_image": encoder.encode(canvas),
            "concat_mask": frame_mask(latent, first=first, last=last),
        }
        seen = [output for output in (clip_vision_start_image, clip_vision_end_image) if output is not None]
        if seen:
            states = torch.cat([output.penultimate_hidden_states for output in seen], dim=-2)
            options["clip_vision_output"] = VisionOutput(penultimate_hidden_states=states)
        return NodeOutput(*on_both(positive, negative, options), {"samples": latent})


class WanFunInpaintToVideo(Node):
    """Make a video with a Wan Fun inpainting model between two pictures: its first frame and its last one. Either
    may be missing."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="WanFunInpaintToVideo",
            category="conditioning/video_models",
            inputs=[
                *pair_inputs(),
                *size_inputs(),
                io.ClipVisionOutput.Input("clip_vision_output", optional=True),
                io.Image.Input("start_image", optional=True),
                io.Image.Input("end_image", optional=True),
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
        clip_vision_output: VisionOutput | None = None,
        start_image: torch.Tensor | None = None,
        end_image: torch.Tensor | None = None,
    ) -> NodeOutput:
        return WanFirstLastFrameToVideo.execute(
            positive,
            negative,
            vae,
            width,
            height,
            length,
            batch_size,
            clip_vision_start_image=clip_vision_output,
            start_image=start_image,
            end_image=end_image,
        )


class Wan22ImageToVideoLatent(Node):
    """Create the latent of a video for the 5B model of Wan 2.2, empty or with its first frames from a picture."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="Wan22ImageToVideoLatent",
            category="conditioning/inpaint",
            inputs=[
                io.Vae.Input("vae"),
                *size_inputs(length=49, side=32, width=1280, height=704),
                io.Image.Input("start_image", optional=True),
            ],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(
        cls,
        vae: Any,
        width: int,
        height: int,
        length: int,
        batch_size: int,
        start_image: torch.Tensor | None = None,
    ) -> NodeOutput:
        latent = empty_latent(batch_size, 48, length, width=width, height=height, downscale=16)
        if start_image is None:
            return NodeOutput({"samples": latent})
        encoder = video_autoencoder(vae)
        given = encoder.encode(fitted(start_image[:length], width, height))
        samples = encoder.latent_format.from_network(latent)
        samples[:, :, : given.shape[2]] = given
        mask = torch.ones(batch_size, 1, *latent.shape[2:])
        mask[:, :, : given.shape[2]] = 0.0
        made: Latent = {"samples": samples, "noise_mask": mask}
        return NodeOutput(made)
