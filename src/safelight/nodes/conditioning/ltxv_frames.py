"""Nodes that show LTX-Video models frames of the video: its first ones, or guides anywhere in it."""

from typing import Any

import torch

from safelight.core.errors import Invalid
from safelight.models.autoencoder.ltx_autoencoder import LtxAutoencoder
from safelight.models.families.ltx.positions import video_spans
from safelight.models.nested import NestedTensor
from safelight.nodes.conditioning.ltxv import guiding_frames
from safelight.nodes.conditioning.options import Conditioning, with_options
from safelight.nodes.image.resampling import resize
from safelight.nodes.latent.samples import VIDEO_DIMENSIONS, Latent
from safelight.nodes.latent.zeros import zeros
from safelight.sdk import Node, NodeOutput, Schema, io

_CATEGORY = "conditioning/video_models"
CHANNELS = 128


class UnfitFrames(Invalid):
    """The image, the latent or the VAE cannot be used for conditioning an LTX-Video model on frames."""

    code = "unfit_frames"


class LTXVImgToVideo(Node):
    """Create a latent for LTX-Video that begins with the given frames. With a "strength" below 1, the model may change
    them."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LTXVImgToVideo",
            category=_CATEGORY,
            inputs=[
                io.Conditioning.Input("positive"),
                io.Conditioning.Input("negative"),
                io.Vae.Input("vae"),
                io.Image.Input("image"),
                io.Int.Input("width", default=768, min=64, max=16384, step=32),
                io.Int.Input("height", default=512, min=64, max=16384, step=32),
                io.Int.Input("length", default=97, min=9, max=16384, step=8),
                io.Int.Input("batch_size", default=1, min=1, max=4096),
                io.Float.Input("strength", default=1.0, min=0.0, max=1.0),
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
        vae: Any,
        image: torch.Tensor,
        width: int,
        height: int,
        length: int,
        batch_size: int,
        strength: float,
    ) -> NodeOutput:
        pixels = resize(image, width, height, method="bilinear", crop="center")
        empty = zeros(batch_size, CHANNELS, (length - 1) // 8 + 1, height // 32, width // 32)
        return NodeOutput(positive, negative, _beginning_with(empty, require_ltx(vae).encode(pixels), strength))


class LTXVImgToVideoInplace(Node):
    """Make a latent of LTX-Video begin with the given frames. With a "strength" below 1, the model may change them;
    "bypass" leaves the latent as it is."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LTXVImgToVideoInplace",
            category=_CATEGORY,
            inputs=[
                io.Vae.Input("vae"),
                io.Image.Input("image"),
                io.Latent.Input("latent"),
                io.Float.Input("strength", default=1.0, min=0.0, max=1.0),
                io.Boolean.Input("bypass", default=False, tooltip="Leave the latent as it is."),
            ],
            outputs=[io.Latent.Output(display_name="latent")],
        )

    @classmethod
    def execute(
        cls, vae: Any, image: torch.Tensor, latent: Latent, strength: float, bypass: bool = False
    ) -> NodeOutput:
        if bypass:
            return NodeOutput(latent)
        encoder, samples = require_ltx(vae), video_samples(latent)
        height, width = (side * encoder.downscale for side in samples.shape[-2:])
        if tuple(image.shape[1:3]) != (height, width):
            image = resize(image, width, height, method="bilinear", crop="center")
        return NodeOutput(_beginning_with(samples, encoder.encode(image), strength))


class LTXVAddGuide(Node):
    """Append an image or a video to a latent as a guide: the model follows it at a frame. LTXVCropGuides removes the
    guides after sampling."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LTXVAddGuide",
            category=_CATEGORY,
            inputs=[
                io.Conditioning.Input("positive"),
                io.Conditioning.Input("negative"),
                io.Vae.Input("vae"),
                io.Latent.Input("latent"),
                io.Image.Input(
                    "image",
                    tooltip="An image, or a video of 8n + 1 frames; frames beyond the last such number are cut.",
                ),
                io.Int.Input(
                    "frame_idx",
                    default=0,
                    min=-9999,
                    max=9999,
                    tooltip="The frame that the guide begins at; negative numbers count from the end. A video "
                    "begins at a multiple of 8, plus 1 after the first frame.",
                ),
                io.Float.Input("strength", default=1.0, min=0.0, max=1.0, step=0.01),
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
        vae: Any,
        latent: Latent,
        image: torch.Tensor,
        frame_idx: int,
        strength: float,
    ) -> NodeOutput:
        encoder, samples = require_ltx(vae), video_samples(latent)
        step = encoder.frames
        cut = image[: (len(image) - 1) // step * step + 1]
        height, width = (side * encoder.downscale for side in samples.shape[-2:])
        guide = encoder.encode(resize(cut, width, height, method="bilinear"))
        _check_channels(samples, guide)
        frames = samples.shape[2] - guiding_frames(positive)
        begin = frame_idx if frame_idx >= 0 else max((frames - 1) * step + 1 + frame_idx, 0)
        if len(cut) > 1 and begin:
            begin = (begin - 1) // step * step + 1
        if -(-begin // step) + guide.shape[2] > samples.shape[2]:
            raise UnfitFrames(
                f"a guide of {len(cut)} frames at frame {begin} ends after the latent's last frame, "
                f"{(frames - 1) * step}"
            )
        mask = _mask_of(latent, samples)
        guide_mask = torch.full((len(mask), 1, guide.shape[2], *mask.shape[3:]), 1.0 - strength)
        spans = _guide_spans(guide, begin, encoder)
        return NodeOutput(
            *(_with_guide(one, spans) for one in (positive, negative)),
            {
                "samples": torch.cat((samples, guide.expand(len(samples), -1, -1, -1, -1)), dim=2),
                "noise_mask": torch.cat((mask, guide_mask), dim=2),
            },
        )


def require_ltx(vae: Any) -> LtxAutoencoder:
    """Raises :class:`UnfitFrames` for another VAE."""
    if not isinstance(vae, LtxAutoencoder):
        raise UnfitFrames("the VAE is not one of LTX-Video or LTX-2; expected the one of the model")
    return vae


def video_samples(latent: Latent) -> torch.Tensor:
    """Raises :class:`UnfitFrames` unless they are a video's."""
    samples = latent["samples"]
    if isinstance(samples, NestedTensor):
        raise UnfitFrames("the latent has audio; separate it with LTXVSeparateAVLatent first")
    if samples.ndim != VIDEO_DIMENSIONS:
        raise UnfitFrames(f"the latent has {samples.ndim - 2} dimensions besides channels; expected a video's, 3")
    return samples  # type: ignore[no-any-return]


def _beginning_with(samples: torch.Tensor, frames: torch.Tensor, strength: float) -> Latent:
    _check_channels(samples, frames)
    count = frames.shape[2]
    if count > samples.shape[2]:
        raise UnfitFrames(
            f"the image has {(count - 1) * 8 + 1} frames, but the latent has {(samples.shape[2] - 1) * 8 + 1}"
        )
    made = samples.clone()
    made[:, :, :count] = frames
    mask = torch.ones(len(samples), 1, samples.shape[2], 1, 1)
    mask[:, :, :count] = 1.0 - strength
    return {"samples": made, "noise_mask": mask}


def _check_channels(samples: torch.Tensor, frames: torch.Tensor) -> None:
    if samples.shape[1] != frames.shape[1]:
        raise UnfitFrames(f"the latent has {samples.shape[1]} channels, but the VAE makes {frames.shape[1]}")


def _mask_of(latent: Latent, samples: torch.Tensor) -> torch.Tensor:
    mask: torch.Tensor | None = latent.get("noise_mask")
    if mask is None:
        return torch.ones(len(samples), 1, samples.shape[2], 1, 1)
    if mask.ndim != VIDEO_DIMENSIONS:
        raise UnfitFrames(f"the latent's mask has {mask.ndim} dimensions; expected a video's, 5")
    return mask


def _guide_spans(guide: torch.Tensor, begin: int, encoder: LtxAutoencoder) -> torch.Tensor:
    """Where the guide's tokens are, in frames and pixels: ``[1, 3, tokens, 2]``. Only at the beginning of the video is
    its first latent frame one frame."""
    frames, rows, columns = guide.shape[2:]
    scale = (encoder.frames, encoder.downscale, encoder.downscale)
    spans = video_spans(frames, rows, columns, scale=scale, is_causal=begin == 0, device=guide.device)
    spans[:, 0] += begin
    return spans


def _with_guide(conditioning: Conditioning, spans: torch.Tensor) -> Conditioning:
    earlier = next(
        (options["keyframe_idxs"] for _, options in conditioning if options.get("keyframe_idxs") is not None), None
    )
    joined = spans if earlier is None else torch.cat((earlier, spans), dim=2)
    return with_options(conditioning, {"keyframe_idxs": joined})
