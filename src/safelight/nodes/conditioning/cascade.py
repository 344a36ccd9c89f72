"""Conditioning of models that refine the result of another model: upscalers and second stages."""

from typing import Any

import torch

from safelight.nodes.conditioning.options import Conditioning, with_options
from safelight.nodes.image.resampling import resize_planes
from safelight.sdk import Node, NodeOutput, Schema, io


class StableCascade_StageB_Conditioning(Node):  # noqa: N801
    """Pass the result of Stable Cascade's first stage to its second stage."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="StableCascade_StageB_Conditioning",
            category="conditioning/stable_cascade",
            inputs=[
                io.Conditioning.Input("conditioning"),
                io.Latent.Input("stage_c"),
            ],
            outputs=[io.Conditioning.Output()],
        )

    @classmethod
    def execute(cls, conditioning: Conditioning, stage_c: dict[str, Any]) -> NodeOutput:
        return NodeOutput(with_options(conditioning, {"stable_cascade_prior": stage_c["samples"]}))


class SD_4XUpscale_Conditioning(Node):  # noqa: N801
    """Pass the image to enlarge to Stable Diffusion's x4 upscaler. "noise_augmentation" adds noise to it first, which
    leaves the model more freedom."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="SD_4XUpscale_Conditioning",
            category="conditioning/upscale_diffusion",
            inputs=[
                io.Image.Input("images"),
                io.Conditioning.Input("positive"),
                io.Conditioning.Input("negative"),
                io.Float.Input("scale_ratio", default=4.0, min=0.0, max=10.0, step=0.01),
                io.Float.Input("noise_augmentation", default=0.0, min=0.0, max=1.0, step=0.001),
            ],
            outputs=[
                io.Conditioning.Output(display_name="positive"),
                io.Conditioning.Output(display_name="negative"),
                io.Latent.Output(display_name="latent"),
            ],
        )

    @classmethod
    def execute(
        cls,
        images: torch.Tensor,
        positive: Conditioning,
        negative: Conditioning,
        scale_ratio: float,
        noise_augmentation: float,
    ) -> NodeOutput:
        batch, old_height, old_width, _ = images.shape
        width, height = (max(1, round(side * scale_ratio)) // 4 for side in (old_width, old_height))
        pixels = resize_planes(images.movedim(-1, 1) * 2.0 - 1.0, width, height, method="bilinear", crop="center")
        options = {"concat_image": pixels, "noise_augmentation": noise_augmentation}
        empty = torch.zeros((batch, 4, height, width))
        return NodeOutput(*[with_options(one, options) for one in (positive, negative)], {"samples": empty})


class HunyuanRefinerLatent(Node):
    """Pass the latent to refine to HunyuanImage's refiner."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="HunyuanRefinerLatent",
            category="sd",
            inputs=[
                io.Conditioning.Input("positive"),
                io.Conditioning.Input("negative"),
                io.Latent.Input("latent"),
                io.Float.Input("noise_augmentation", default=0.1, min=0.0, max=1.0, step=0.01),
            ],
            outputs=[
                io.Conditioning.Output(display_name="positive"),
                io.Conditioning.Output(display_name="negative"),
                io.Latent.Output(display_name="latent"),
            ],
        )

    @classmethod
    def execute(
        cls, positive: Conditioning, negative: Conditioning, latent: dict[str, Any], noise_augmentation: float
    ) -> NodeOutput:
        samples = latent["samples"]
        options = {"concat_latent_image": samples, "noise_augmentation": noise_augmentation}
        empty = torch.zeros((samples.shape[0], 32, *samples.shape[-3:]))
        return NodeOutput(*[with_options(one, options) for one in (positive, negative)], {"samples": empty})


class HunyuanVideo15SuperResolution(Node):
    """Pass the latent to enlarge to HunyuanVideo 1.5's upscaler, and optionally the image that the video starts
    with."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="HunyuanVideo15SuperResolution",
            category="sd",
            inputs=[
                io.Conditioning.Input("positive"),
                io.Conditioning.Input("negative"),
                io.Latent.Input("latent"),
                io.Float.Input("noise_augmentation", default=0.7, min=0.0, max=1.0, step=0.01),
                io.Vae.Input("vae", optional=True),
                io.Image.Input("start_image", optional=True),
                io.ClipVisionOutput.Input("clip_vision_output", optional=True),
            ],
            outputs=[
                io.Conditioning.Output(display_name="positive"),
                io.Conditioning.Output(display_name="negative"),
                io.Latent.Output(display_name="latent"),
            ],
        )

    @classmethod
    def execute(
        cls,
        positive: Conditioning,
        negative: Conditioning,
        latent: dict[str, Any],
        noise_augmentation: float,
        vae: Any = None,
        start_image: torch.Tensor | None = None,
        clip_vision_output: Any = None,
    ) -> NodeOutput:
        samples = latent["samples"]
        batch, channels, frames, height, width = samples.shape
        # the start image's latent and its mask, then the latent to enlarge and its mask
        given = torch.zeros((batch, 2 * channels + 2, frames, height, width), device=samples.device)
        if start_image is not None and vae is not None:
            planes = start_image.movedim(-1, 1)
            pixels = resize_planes(planes, width * 16, height * 16, method="bilinear", crop="center")
            encoded = vae.encode(pixels.movedim(1, -1)[..., :3])
            given[:, :channels, : encoded.shape[2]] = encoded
            given[:, channels, 0] = 1
        given[:, channels + 1 : 2 * channels + 1] = samples
        given[:, 2 * channels + 1] = 1
        options = {"concat_latent_image": given, "noise_augmentation": noise_augmentation}
        if clip_vision_output is not None:
            options["clip_vision_output"] = clip_vision_output
        return NodeOutput(*[with_options(one, options) for one in (positive, negative)], latent)
