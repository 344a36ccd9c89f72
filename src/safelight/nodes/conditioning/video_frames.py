"""Frames for nodes that start a video: fitted to its size, on a gray canvas, and as latents.

Images are ``[frames, H, W, channels]`` in 0..1. The first frame of a video has its own latent frame; four of the others
share one.
"""

from typing import Any

import torch

from safelight.core.errors import Invalid
from safelight.models.autoencoder.video_autoencoder import VideoAutoencoder
from safelight.nodes.conditioning.options import Conditioning, with_options
from safelight.nodes.image.resampling import resize_planes
from safelight.nodes.image.size_limit import check_size
from safelight.nodes.latent.autoencoder import require_autoencoder
from safelight.nodes.latent.zeros import zeros
from safelight.sdk import io

GRAY = 0.5
"""What the network is shown where there is no picture."""
FRAMES = 4
"""Frames of a latent frame, after the first."""
MAX_SIDE = 16384


class WrongAutoencoder(Invalid):
    """The VAE is not of the kind that the node needs."""

    code = "wrong_autoencoder"


def video_autoencoder(vae: Any) -> VideoAutoencoder:
    """The VAE, which must be one of videos. Raises :class:`WrongAutoencoder`."""
    if not isinstance(require_autoencoder(vae), VideoAutoencoder):
        raise WrongAutoencoder(
            "the VAE is for pictures, but a VAE of videos is needed (such as wan_2.1_vae.safetensors)"
        )
    chosen: VideoAutoencoder = vae
    return chosen


def pair_inputs() -> list[io.Input]:
    return [io.Conditioning.Input("positive"), io.Conditioning.Input("negative"), io.Vae.Input("vae")]


def size_inputs(*, length: int = 81, side: int = 16, width: int = 832, height: int = 480) -> list[io.Input]:
    return [
        io.Int.Input("width", default=width, min=side, max=MAX_SIDE, step=side),
        io.Int.Input("height", default=height, min=side, max=MAX_SIDE, step=side),
        io.Int.Input("length", default=length, min=1, max=MAX_SIDE, step=4),
        io.Int.Input("batch_size", default=1, min=1, max=4096),
    ]


def pair_outputs() -> list[io.Output]:
    return [
        io.Conditioning.Output(display_name="positive"),
        io.Conditioning.Output(display_name="negative"),
        io.Latent.Output(display_name="latent"),
    ]


def on_both(
    positive: Conditioning, negative: Conditioning, options: dict[str, Any]
) -> tuple[Conditioning, Conditioning]:
    return with_options(positive, options), with_options(negative, options)


def latent_frames(length: int) -> int:
    return (length - 1) // FRAMES + 1


def empty_latent(
    batch: int, channels: int, length: int, *, width: int, height: int, downscale: int = 8
) -> torch.Tensor:
    """``[B, C, latent frames, h, w]``, zero."""
    return zeros(batch, channels, latent_frames(length), height // downscale, width // downscale)


def fitted(images: torch.Tensor, width: int, height: int, *, method: str = "bilinear") -> torch.Tensor:
    """The colors of the images, cropped to the aspect ratio around the center, and scaled."""
    planes = resize_planes(images[..., :3].movedim(-1, 1), width, height, method=method, crop="center")
    return planes.movedim(1, -1)


def gray_canvas(length: int, width: int, height: int) -> torch.Tensor:
    check_size((length, height, width, 3))
    return torch.full((length, height, width, 3), GRAY)


def blank_latent(vae: VideoAutoencoder, like: torch.Tensor) -> torch.Tensor:
    """The latent that is zero for the network, in the shape of ``like``."""
    return vae.latent_format.from_network(torch.zeros_like(like))


def frame_mask(latent: torch.Tensor, *, first: int = 0, last: int = 0) -> torch.Tensor:
    """``[1, 4, latent frames, h, w]``: 0 for the given frames, the ``first`` and the ``last`` ones, 1 for the
    others. The first frame has all four channels of its latent frame."""
    frames, height, width = latent.shape[2:]
    mask = torch.ones(frames * FRAMES)
    if first:
        mask[: first + FRAMES - 1] = 0.0
    if last:
        mask[-last:] = 0.0
    return mask.reshape(frames, FRAMES).T[None, :, :, None, None].expand(-1, -1, -1, height, width)
