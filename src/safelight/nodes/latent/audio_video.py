"""Nodes that combine the latents of a video and of its audio, and split them again."""

import torch

from safelight.core.errors import Invalid
from safelight.models.nested import NestedTensor
from safelight.nodes.latent.samples import Latent, with_samples
from safelight.sdk import Node, NodeOutput, Schema, io


class NotCombined(Invalid):
    """The latent is not one of a video and its audio."""

    code = "not_combined"


class LTXVConcatAVLatent(Node):
    """Combine the latents of a video and of its audio, for models that denoise both together."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LTXVConcatAVLatent",
            category="latent/video/ltxv",
            inputs=[
                io.Latent.Input("video_latent"),
                io.Latent.Input("audio_latent"),
            ],
            outputs=[io.Latent.Output(display_name="latent")],
        )

    @classmethod
    def execute(cls, video_latent: Latent, audio_latent: Latent) -> NodeOutput:
        pair = (video_latent, audio_latent)
        joined = {**video_latent, **audio_latent, "samples": NestedTensor([one["samples"] for one in pair])}
        if any(one.get("noise_mask") is not None for one in pair):
            joined["noise_mask"] = NestedTensor([_mask(one) for one in pair])
        return NodeOutput(joined)


class LTXVSeparateAVLatent(Node):
    """Split a combined latent into the latents of the video and of its audio."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LTXVSeparateAVLatent",
            category="latent/video/ltxv",
            inputs=[
                io.Latent.Input("av_latent"),
            ],
            outputs=[io.Latent.Output(display_name="video_latent"), io.Latent.Output(display_name="audio_latent")],
        )

    @classmethod
    def execute(cls, av_latent: Latent) -> NodeOutput:
        samples = av_latent["samples"]
        if not isinstance(samples, NestedTensor) or len(samples.tensors) != 2:
            raise NotCombined("the latent has no audio: expected one that LTXVConcatAVLatent made")
        video, audio = (with_samples(av_latent, tensor) for tensor in samples)
        masks = av_latent.get("noise_mask")
        if isinstance(masks, NestedTensor):
            video["noise_mask"], audio["noise_mask"] = masks
        else:
            audio.pop("noise_mask", None)
        return NodeOutput(video, audio)


def _mask(latent: Latent) -> torch.Tensor:
    mask = latent.get("noise_mask")
    return torch.ones_like(latent["samples"]) if mask is None else mask
