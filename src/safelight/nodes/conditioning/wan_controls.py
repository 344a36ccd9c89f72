"""Nodes that guide a video of Wan by another video, by masks, by the path of a camera, or by pictures of its
subjects."""

from typing import Any

import torch
from torch.nn import functional

from safelight.core.errors import Invalid
from safelight.models.vision.vision_encoder import VisionOutput
from safelight.nodes.conditioning.options import Conditioning, with_appended, with_options
from safelight.nodes.conditioning.video_frames import (
    GRAY,
    blank_latent,
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
from safelight.nodes.image.resampling import resize_planes
from safelight.sdk import Node, NodeOutput, Schema, io

SQUARE = 8
"""Pixels per side of a latent pixel."""


class WrongVideoSize(Invalid):
    """The width or height is not a multiple of what the model needs."""

    code = "wrong_video_size"


class WanFunControlToVideo(Node):
    """Guide a video of a Wan Fun control model by a video of poses, edges or depths."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="WanFunControlToVideo",
            category="conditioning/video_models",
            inputs=[
                *pair_inputs(),
                *size_inputs(),
                io.ClipVisionOutput.Input("clip_vision_output", optional=True),
                io.Image.Input("start_image", optional=True),
                io.Image.Input("control_video", optional=True),
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
        control_video: torch.Tensor | None = None,
    ) -> NodeOutput:
        latent = empty_latent(batch_size, 16, length, width=width, height=height)
        parts = [_encoded(vae, images, latent, length, width, height) for images in (control_video, start_image)]
        options: dict[str, Any] = {"concat_latent_image": torch.cat(parts, dim=1)}
        if clip_vision_output is not None:
            options["clip_vision_output"] = clip_vision_output
        return NodeOutput(*on_both(positive, negative, options), {"samples": latent})


class Wan22FunControlToVideo(Node):
    """Guide a video of a Wan 2.2 Fun control model by a video of poses, edges or depths, with a reference picture."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="Wan22FunControlToVideo",
            category="conditioning/video_models",
            inputs=[
                *pair_inputs(),
                *size_inputs(),
                io.Image.Input("ref_image", optional=True),
                io.Image.Input("control_video", optional=True),
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
        ref_image: torch.Tensor | None = None,
        control_video: torch.Tensor | None = None,
    ) -> NodeOutput:
        encoder = video_autoencoder(vae)
        channels = encoder.latent_channels
        latent = empty_latent(batch_size, channels, length, width=width, height=height, downscale=encoder.downscale)
        control = _encoded(vae, control_video, latent, length, width, height)
        options = {
            "concat_latent_image": torch.cat((control, blank_latent(encoder, latent)), dim=1),
            "concat_mask": frame_mask(latent),
            "concat_mask_index": channels,
        }
        pair = on_both(positive, negative, options)
        if ref_image is not None:
            reference = encoder.encode(fitted(ref_image[:1], width, height))
            pair = (
                with_appended(pair[0], "reference_latents", reference),
                with_appended(pair[1], "reference_latents", reference),
            )
        return NodeOutput(*pair, {"samples": latent})


class WanVaceToVideo(Node):
    """Guide a video of a Wan VACE model by a control video, whose masked areas are repainted, and by a reference
    picture. Without a control video, everything is painted. The reference picture is in front of the video:
    "trim_latent" is the number of latent frames to cut off afterwards."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="WanVaceToVideo",
            category="conditioning/video_models",
            inputs=[
                *pair_inputs(),
                *size_inputs(),
                io.Float.Input("strength", default=1.0, min=0.0, max=1000.0, step=0.01),
                io.Image.Input("control_video", optional=True),
                io.Mask.Input("control_masks", optional=True),
                io.Image.Input("reference_image", optional=True),
            ],
            outputs=[*pair_outputs(), io.Int.Output(display_name="trim_latent")],
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
        strength: float,
        control_video: torch.Tensor | None = None,
        control_masks: torch.Tensor | None = None,
        reference_image: torch.Tensor | None = None,
    ) -> NodeOutput:
        if width % SQUARE or height % SQUARE:
            raise WrongVideoSize(f"invalid size {width} x {height}: width and height must be multiples of {SQUARE}")
        encoder = video_autoencoder(vae)
        video = gray_canvas(length, width, height)
        if control_video is not None:
            given = fitted(control_video[:length], width, height)
            video[: len(given)] = given
        painted = _painted(control_masks, length, width, height)
        change = video - GRAY
        stays, changes = (encoder.encode(change * part + GRAY) for part in (1 - painted, painted))
        frames = torch.cat((stays, changes), dim=1)
        mask = _in_channels(painted[..., 0])
        trimmed = 0
        if reference_image is not None:
            picture = encoder.encode(fitted(reference_image[:1], width, height))
            trimmed = picture.shape[2]
            frames = torch.cat((torch.cat((picture, blank_latent(encoder, picture)), dim=1), frames), dim=2)
            mask = functional.pad(mask, (0, 0, 0, 0, trimmed, 0))
        pair = []
        for conditioning in (positive, negative):
            for key, value in (("vace_frames", frames), ("vace_mask", mask), ("vace_strength", strength)):
                conditioning = with_appended(conditioning, key, value)
            pair.append(conditioning)
        latent = empty_latent(batch_size, 16, length, width=width, height=height)
        latent = functional.pad(latent, (0, 0, 0, 0, trimmed, 0))
        return NodeOutput(*pair, {"samples": latent}, trimmed)


class WanCameraImageToVideo(Node):
    """Start a video of a Wan camera model from a picture, and move the camera."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="WanCameraImageToVideo",
            category="conditioning/video_models",
            inputs=[
                *pair_inputs(),
                *size_inputs(),
                io.ClipVisionOutput.Input("clip_vision_output", optional=True),
                io.Image.Input("start_image", optional=True),
                io.WanCameraEmbedding.Input("camera_conditions", optional=True),
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
        camera_conditions: torch.Tensor | None = None,
    ) -> NodeOutput:
        latent = empty_latent(batch_size, 16, length, width=width, height=height)
        options: dict[str, Any] = {}
        if start_image is not None:
            options["concat_latent_image"] = _encoded(vae, start_image, latent, length, width, height)
            options["concat_mask"] = frame_mask(latent, first=len(start_image[:length]))
        if camera_conditions is not None:
            options["camera_conditions"] = camera_conditions
        if clip_vision_output is not None:
            options["clip_vision_output"] = clip_vision_output
        return NodeOutput(*on_both(positive, negative, options), {"samples": latent})


class WanPhantomSubjectToVideo(Node):
    """Show the subjects of pictures in a video of a Wan Phantom model. There are two negative conditionings: with the
    pictures, and without text and pictures, for guidance by both."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="WanPhantomSubjectToVideo",
            category="conditioning/video_models",
            inputs=[*pair_inputs(), *size_inputs(), io.Image.Input("images", optional=True)],
            outputs=[
                io.Conditioning.Output(display_name="positive"),
                io.Conditioning.Output(display_name="negative_text"),
                io.Conditioning.Output(display_name="negative_img_text"),
                io.Latent.Output(display_name="latent"),
            ],
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
        images: torch.Tensor | None = None,
    ) -> NodeOutput:
        latent = {"samples": empty_latent(batch_size, 16, length, width=width, height=height)}
        if images is None:
            return NodeOutput(positive, negative, negative, latent)
        encoder = video_autoencoder(vae)
        pictures = torch.split(fitted(images[:length], width, height), 1)
        subjects = torch.cat([encoder.encode(picture) for picture in pictures], dim=2)
        with_subjects = {"time_dim_concat": subjects}
        return NodeOutput(
            with_options(positive, with_subjects),
            with_options(negative, with_subjects),
            with_options(negative, {"time_dim_concat": blank_latent(encoder, subjects)}),
            latent,
        )


def _encoded(
    vae: Any, images: torch.Tensor | None, latent: torch.Tensor, length: int, width: int, height: int
) -> torch.Tensor:
    """The latent of the first frames, as long as ``latent``; what is missing is blank."""
    encoder = video_autoencoder(vae)
    made = blank_latent(encoder, latent)
    if images is not None:
        encoded = encoder.encode(fitted(images[:length], width, height))[:, :, : made.shape[2]]
        made[:, :, : encoded.shape[2]] = encoded
    return made


def _painted(masks: torch.Tensor | None, length: int, width: int, height: int) -> torch.Tensor:
    """``[length, H, W, 1]``: 1 where to paint, which is everywhere where there is no mask."""
    painted = torch.ones(length, height, width, 1)
    if masks is not None:
        planes = masks.reshape(-1, 1, *masks.shape[-2:])[:length]
        painted[: len(planes)] = resize_planes(planes, width, height, method="bilinear", crop="center").movedim(1, -1)
    return painted


def _in_channels(mask: torch.Tensor) -> torch.Tensor:
    """``[length, H, W]`` to ``[1, 64, latent frames, h, w]``: the pixels of a latent pixel as channels, of the nearest
    frame."""
    length, height, width = mask.shape
    squares = mask.reshape(length, height // SQUARE, SQUARE, width // SQUARE, SQUARE)
    channels = squares.permute(2, 4, 0, 1, 3).reshape(1, SQUARE**2, length, height // SQUARE, width // SQUARE)
    size = (latent_frames(length), height // SQUARE, width // SQUARE)
    return functional.interpolate(channels, size=size, mode="nearest-exact")
