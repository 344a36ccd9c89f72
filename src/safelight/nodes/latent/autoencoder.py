"""Nodes that convert between images and latents."""

from typing import Any

import torch
from torch.nn import functional

from safelight.core.errors import Invalid
from safelight.models.autoencoder.audio_autoencoder import AudioAutoencoder
from safelight.models.autoencoder.film import Tiling
from safelight.models.autoencoder.h3_autoencoder import H3FilmAutoencoder
from safelight.models.autoencoder.image_autoencoder import ImageAutoencoder
from safelight.models.autoencoder.ltx_autoencoder import LtxAutoencoder
from safelight.models.autoencoder.video_autoencoder import VideoAutoencoder
from safelight.models.nested import first_part
from safelight.nodes.conditioning.options import Conditioning, with_options
from safelight.nodes.latent.samples import SEED, VIDEO_DIMENSIONS, Latent
from safelight.sdk import Node, NodeOutput, Schema, io


class NoAutoencoder(Invalid):
    """The loaded checkpoint contains no VAE."""

    code = "no_autoencoder"


class VAEDecode(Node):
    """Decode latents into images."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="VAEDecode",
            display_name="VAE Decode",
            category="latent",
            inputs=[
                io.Latent.Input("samples", tooltip="The latents to decode."),
                io.Vae.Input("vae", tooltip="The VAE that decodes them."),
            ],
            outputs=[io.Image.Output(tooltip="The decoded images.")],
            search_aliases=["decode", "decode latent", "latent to image", "render latent"],
        )

    @classmethod
    def execute(cls, samples: Latent, vae: ImageAutoencoder) -> NodeOutput:
        decoder, latent = require_autoencoder(vae), first_part(samples["samples"])
        if isinstance(decoder, VideoAutoencoder | H3FilmAutoencoder) and _is_video(latent):
            return NodeOutput(decoder.film(latent))
        return NodeOutput(decoder.decode(latent, **_noise_seed(decoder, samples)))


class VAEDecodeTiled(Node):
    """Decode latents into images tile by tile, for images that are too large for the memory. A video is decoded a few
    frames at a time in any case, without borders in time."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="VAEDecodeTiled",
            display_name="VAE Decode (Tiled)",
            category="_for_testing",
            inputs=[io.Latent.Input("samples"), io.Vae.Input("vae"), *_tile_inputs(step=32)],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(
        cls,
        samples: Latent,
        vae: ImageAutoencoder,
        tile_size: int,
        overlap: int = 64,
        temporal_size: int = 64,
        temporal_overlap: int = 8,
    ) -> NodeOutput:
        decoder = require_autoencoder(vae)
        scale = decoder.downscale
        tile, shared = tile_size // scale, min(overlap, tile_size // 4) // scale
        latent, seed = first_part(samples["samples"]), _noise_seed(decoder, samples)
        if isinstance(decoder, VideoAutoencoder | H3FilmAutoencoder) and _is_video(latent):
            return NodeOutput(decoder.film(latent, Tiling(tile, shared)))
        return NodeOutput(decoder.decode_tiled(latent, tile=tile, overlap=shared, **seed))


class VAEEncode(Node):
    """Encode images into latents."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="VAEEncode",
            display_name="VAE Encode",
            category="latent",
            inputs=[io.Image.Input("pixels"), io.Vae.Input("vae")],
            outputs=[io.Latent.Output()],
            search_aliases=["encode", "encode image", "image to latent"],
        )

    @classmethod
    def execute(cls, pixels: torch.Tensor, vae: ImageAutoencoder) -> NodeOutput:
        return NodeOutput({"samples": require_autoencoder(vae).encode(pixels)})


class VAEEncodeTiled(Node):
    """Encode images into latents tile by tile, for images that are too large for the memory."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="VAEEncodeTiled",
            display_name="VAE Encode (Tiled)",
            category="_for_testing",
            inputs=[io.Image.Input("pixels"), io.Vae.Input("vae"), *_tile_inputs(step=64)],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(
        cls,
        pixels: torch.Tensor,
        vae: ImageAutoencoder,
        tile_size: int,
        overlap: int = 64,
        temporal_size: int = 64,
        temporal_overlap: int = 8,
    ) -> NodeOutput:
        shared = min(overlap, tile_size // 4)
        return NodeOutput({"samples": require_autoencoder(vae).encode_tiled(pixels, tile=tile_size, overlap=shared)})


class VAEEncodeForInpaint(Node):
    """Encode images into latents for inpainting: the masked area is made gray, and the mask limits the denoising.
    "grow_mask_by" widens the mask by that many pixels."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="VAEEncodeForInpaint",
            display_name="VAE Encode (for Inpainting)",
            category="latent/inpaint",
            inputs=[
                io.Image.Input("pixels"),
                io.Vae.Input("vae"),
                io.Mask.Input("mask"),
                io.Int.Input("grow_mask_by", default=6, min=0, max=64, step=1),
            ],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(
        cls, pixels: torch.Tensor, vae: ImageAutoencoder, mask: torch.Tensor, grow_mask_by: int = 6
    ) -> NodeOutput:
        encoder = require_autoencoder(vae)
        pixels, planes = _fitted(pixels, mask, encoder.downscale)
        grown = _grown(planes, grow_mask_by)
        grayed = _grayed(pixels, planes)
        return NodeOutput({"samples": encoder.encode(grayed), "noise_mask": grown.round()})


class InpaintModelConditioning(Node):
    """Show an inpainting model the area around the mask. With "noise_mask", the rest of the image stays unchanged."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="InpaintModelConditioning",
            category="conditioning/inpaint",
            inputs=[
                io.Conditioning.Input("positive"),
                io.Conditioning.Input("negative"),
                io.Vae.Input("vae"),
                io.Image.Input("pixels"),
                io.Mask.Input("mask"),
                io.Boolean.Input("noise_mask", default=True),
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
        pixels: torch.Tensor,
        vae: ImageAutoencoder,
        mask: torch.Tensor,
        noise_mask: bool = True,
    ) -> NodeOutput:
        encoder = require_autoencoder(vae)
        pixels, planes = _fitted(pixels, mask, encoder.downscale)
        options = {"concat_latent_image": encoder.encode(_grayed(pixels, planes)), "concat_mask": planes}
        latent: Latent = {"samples": encoder.encode(pixels)}
        if noise_mask:
            latent["noise_mask"] = planes
        return NodeOutput(with_options(positive, options), with_options(negative, options), latent)


class InstructPixToPixConditioning(Node):
    """Give an instruction-editing model the image to edit."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="InstructPixToPixConditioning",
            category="conditioning/instructpix2pix",
            inputs=[
                io.Conditioning.Input("positive"),
                io.Conditioning.Input("negative"),
                io.Vae.Input("vae"),
                io.Image.Input("pixels"),
            ],
            outputs=[
                io.Conditioning.Output(display_name="positive"),
                io.Conditioning.Output(display_name="negative"),
                io.Latent.Output(display_name="latent"),
            ],
        )

    @classmethod
    def execute(
        cls, positive: Conditioning, negative: Conditioning, vae: ImageAutoencoder, pixels: torch.Tensor
    ) -> NodeOutput:
        encoder = require_autoencoder(vae)
        whole = torch.ones(1, 1, *pixels.shape[1:3])
        encoded = encoder.encode(_fitted(pixels, whole, encoder.downscale)[0])
        options = {"concat_latent_image": encoded}
        latent: Latent = {"samples": torch.zeros_like(encoded)}
        return NodeOutput(with_options(positive, options), with_options(negative, options), latent)


def require_autoencoder(vae: ImageAutoencoder | None) -> ImageAutoencoder:
    """Return the VAE of images. Raises :class:`NoAutoencoder` if there is none, or one for audio."""
    found = require_vae(vae)
    if isinstance(found, AudioAutoencoder):
        raise NoAutoencoder("the VAE is for audio; expected one for images")
    return found  # type: ignore[no-any-return]


def require_vae(vae: Any) -> Any:
    """Return the VAE. Raises :class:`NoAutoencoder` if there is none."""
    if vae is None:
        raise NoAutoencoder("the checkpoint contains no VAE; load one with VAELoader")
    return vae


def _noise_seed(decoder: Any, samples: Latent) -> dict[str, Any]:
    """The seed, for a decoder that adds noise."""
    return {"seed": samples.get(SEED)} if isinstance(decoder, LtxAutoencoder) else {}


def _is_video(latent: torch.Tensor) -> bool:
    """Whether it has several frames, which are decoded when they are read."""
    return latent.dim() == VIDEO_DIMENSIONS and latent.shape[2] > 1


def _tile_inputs(*, step: int) -> list[io.Input]:
    return [
        io.Int.Input("tile_size", default=512, min=64, max=4096, step=step),
        io.Int.Input("overlap", default=64, min=0, max=4096, step=32),
        io.Int.Input("temporal_size", default=64, min=8, max=4096, step=4, tooltip="For video: frames per tile."),
        io.Int.Input(
            "temporal_overlap", default=8, min=4, max=4096, step=4, tooltip="For video: frames by which tiles overlap."
        ),
    ]


def _fitted(pixels: torch.Tensor, mask: torch.Tensor, downscale: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Both center-cropped to whole latent pixels; the mask, scaled to the image, as ``[B, 1, H, W]``."""
    height, width = pixels.shape[1:3]
    planes = mask.reshape(-1, 1, *mask.shape[-2:])
    planes = functional.interpolate(planes, size=(height, width), mode="bilinear")
    kept_height, kept_width = height // downscale * downscale, width // downscale * downscale
    top, left = (height % downscale) // 2, (width % downscale) // 2
    rows, columns = slice(top, top + kept_height), slice(left, left + kept_width)
    return pixels[:, rows, columns], planes[:, :, rows, columns]


def _grayed(pixels: torch.Tensor, planes: torch.Tensor) -> torch.Tensor:
    kept = (1.0 - planes.round())[:, 0, :, :, None]
    return (pixels[..., :3] - 0.5) * kept + 0.5


def _grown(planes: torch.Tensor, cells: int) -> torch.Tensor:
    if cells == 0:
        return planes
    kernel = torch.ones(1, 1, cells, cells)
    padding = -(-(cells - 1) // 2)
    grown = functional.conv2d(planes.round(), kernel, padding=padding).clamp(0, 1)
    return grown[..., : planes.shape[-2], : planes.shape[-1]]
