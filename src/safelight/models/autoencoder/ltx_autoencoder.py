"""The value on ``VAE`` links for the autoencoder of LTX-Video and LTX-2: latents are ``[B, C, frames, h, w]``, images
``[frames, H, W, 3]``."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from safelight.models.autoencoder.ltx_module import LtxAutoencoderShape, LtxVideoAutoencoder, ltx_autoencoder_shape
from safelight.models.autoencoder.tiles import in_tiles
from safelight.models.residency import compute_device, residency
from safelight.models.weights import Weights


@dataclass(frozen=True)
class LtxAutoencoder:
    """Has the methods of :class:`safelight.models.autoencoder.image_autoencoder.ImageAutoencoder`. Computes in float32.

    Some decoders add noise: equal latents give equal images for a ``seed``, which is that of the noise that sampling
    started from. Their noise continues that one, as in ComfyUI (ADR 0069)."""

    weights: Weights
    shape: LtxAutoencoderShape

    @property
    def downscale(self) -> int:
        return self.shape.downscale

    @property
    def frames(self) -> int:
        """Frames per latent frame, after the first."""
        return self.shape.frames

    @property
    def downscale_index_formula(self) -> tuple[int, int, int]:
        """Frames, height and width of a latent position, under the name that node packs read."""
        return (self.frames, self.downscale, self.downscale)

    def spacial_compression_encode(self) -> int:
        """The downscale, under the name that node packs call."""
        return self.downscale

    def decode(self, latent: torch.Tensor, *, seed: int | None = None) -> torch.Tensor:
        """``[B, C, frames, h, w]`` to ``[B * frames, H, W, 3]`` in 0..1. Raises :class:`ValueError` for a latent
        that is too small."""
        self._check_size(latent)
        generator = self._generator(latent, seed)
        with self._module() as module:
            return _images([_decoded(module, item, generator) for item in torch.split(_with_frames(latent), 1)])

    def decode_tiled(self, latent: torch.Tensor, *, tile: int, overlap: int, seed: int | None = None) -> torch.Tensor:
        """Decode in tiles of ``tile`` latent pixels."""
        generator = self._generator(latent, seed)
        with self._module() as module:
            return _images(
                [
                    in_tiles(
                        item.float(),
                        lambda part: _decoded(module, part, generator),
                        size=(tile, tile),
                        overlap=overlap,
                        scale=float(self.downscale),
                    )
                    for item in torch.split(_with_frames(latent), 1)
                ]
            )

    def encode(self, image: torch.Tensor) -> torch.Tensor:
        """``[frames, H, W, 3 or more]`` to ``[1, C, 1 + (frames - 1) / 8, h, w]``. Sides are center-cropped to
        multiples of the downscale. Raises :class:`ValueError` for another number of frames."""
        with self._module() as module:
            return _encoded(module, self._frames(image))

    def encode_tiled(self, image: torch.Tensor, *, tile: int, overlap: int) -> torch.Tensor:
        """Encode in tiles of ``tile`` pixels."""
        with self._module() as module:
            return in_tiles(
                self._frames(image),
                lambda part: _encoded(module, part),
                size=(tile, tile),
                overlap=overlap,
                scale=1 / self.downscale,
            )

    def unnormalized(self, latent: torch.Tensor) -> torch.Tensor:
        """As the encoder makes it, for networks that work on such latents."""
        with self._module() as module:
            return module.per_channel_statistics.inverse(latent.to(compute_device(), torch.float32)).cpu()

    def normalized(self, latent: torch.Tensor) -> torch.Tensor:
        """The inverse of :meth:`unnormalized`."""
        with self._module() as module:
            return module.per_channel_statistics.normalized(latent.to(compute_device(), torch.float32)).cpu()

    def _frames(self, image: torch.Tensor) -> torch.Tensor:
        """``[1, 3, frames, H, W]`` in -1..1."""
        if (len(image) - 1) % self.frames:
            raise ValueError(
                f"the VAE encodes 1 + {self.frames}n frames (1, {1 + self.frames}, {1 + 2 * self.frames} ...), but "
                f"there are {len(image)}"
            )
        cut = image[..., :3].float()
        for dimension in (1, 2):
            kept = cut.shape[dimension] // self.downscale * self.downscale
            cut = cut.narrow(dimension, (cut.shape[dimension] - kept) // 2, kept)
        return cut.movedim(-1, 0)[None] * 2 - 1

    def _check_size(self, latent: torch.Tensor) -> None:
        if self.shape.decoder_padding == "reflect" and min(latent.shape[-2:]) < 2:
            height, width = (side * self.downscale for side in latent.shape[-2:])
            least = 2 * self.downscale
            raise ValueError(f"the VAE decodes at least {least}x{least} pixels, but the latent is of {width}x{height}")

    def _generator(self, latent: torch.Tensor, seed: int | None) -> torch.Generator:
        generator = torch.Generator().manual_seed(seed or 0)
        if seed is not None:
            torch.randn(latent.shape, generator=generator)
        return generator

    @contextmanager
    def _module(self) -> Iterator[LtxVideoAutoencoder]:
        with (
            residency().use(
                self.weights, (), lambda: LtxVideoAutoencoder(self.shape), device=compute_device(), dtype=torch.float32
            ) as module,
            torch.inference_mode(),
        ):
            yield module


def is_ltx(shapes: Mapping[str, torch.Size]) -> bool:
    return "decoder.up_blocks.0.res_blocks.0.conv1.conv.weight" in shapes


def ltx_autoencoder(weights: Weights, settings: Mapping[str, Any]) -> LtxAutoencoder:
    """``settings``: of the autoencoder in the file's metadata. Raises :class:`KeyError` if a weight is missing."""
    own = weights.only([name for name in weights.sources if not name.startswith(_UNUSED)])
    return LtxAutoencoder(own, ltx_autoencoder_shape(own.shapes, settings))


_UNUSED = ("per_channel_statistics.channel", "per_channel_statistics.mean-of-stds")


def _with_frames(latent: torch.Tensor) -> torch.Tensor:
    return latent if latent.dim() == 5 else latent[:, :, None]


def _decoded(module: LtxVideoAutoencoder, latent: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return module.decode(latent.to(compute_device(), torch.float32), generator).cpu()


def _encoded(module: LtxVideoAutoencoder, frames: torch.Tensor) -> torch.Tensor:
    return module.encode(frames.to(compute_device(), torch.float32)).cpu()


def _images(videos: list[torch.Tensor]) -> torch.Tensor:
    frames = torch.cat([video[0].transpose(0, 1) for video in videos])
    return ((frames + 1) / 2).clamp(0, 1).movedim(1, -1).contiguous()
