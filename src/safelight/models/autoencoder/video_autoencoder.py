"""The value on ``VAE`` links for autoencoders of videos. A picture is a video of one frame: latents are ``[B, C,
frames, h, w]``, images ``[frames, H, W, 3 or 4]``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import torch
from torch.nn import functional

from safelight.core.errors import Invalid
from safelight.models.autoencoder.film import Film, Tiling
from safelight.models.autoencoder.hunyuan_video_module import HunyuanVideoAutoencoder, HunyuanVideoAutoencoderShape
from safelight.models.autoencoder.tiles import in_tiles
from safelight.models.autoencoder.wan22_module import Wan22Autoencoder, Wan22Shape
from safelight.models.autoencoder.wan_latents import WAN21_LATENT, WAN22_LATENT
from safelight.models.autoencoder.wan_module import FRAMES, WanAutoencoder, WanShape
from safelight.models.latent_format import LatentFormat
from safelight.models.residency import compute_device, residency
from safelight.models.weights import Weights


class WrongLatent(Invalid):
    """The latent is not one that the VAE decodes."""

    code = "wrong_latent"


_Module = WanAutoencoder | Wan22Autoencoder | HunyuanVideoAutoencoder


@dataclass(frozen=True)
class VideoAutoencoder:
    """Has the methods of :class:`safelight.models.autoencoder.image_autoencoder.ImageAutoencoder`. Computes in
    float32."""

    weights: Weights
    shape: WanShape | Wan22Shape | HunyuanVideoAutoencoderShape

    @property
    def downscale(self) -> int:
        return self.shape.downscale

    @property
    def latent_channels(self) -> int:
        """The name that node packs read."""
        return self.shape.latent

    @property
    def latent_format(self) -> LatentFormat:
        """Of Wan's latents."""
        return WAN22_LATENT if self.latent_channels == WAN22_LATENT.channels else WAN21_LATENT

    def spacial_compression_encode(self) -> int:
        """The downscale, under the name that node packs call."""
        return self.downscale

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """``[B, C, frames, h, w]``, or ``[B, C, h, w]`` for pictures, to ``[B * frames, H, W, 3 or 4]`` in 0..1."""
        return self.film(latent).whole()

    def decode_tiled(self, latent: torch.Tensor, *, tile: int, overlap: int) -> torch.Tensor:
        """Decode in tiles of ``tile`` latent pixels."""
        return self.film(latent, Tiling(tile, overlap)).whole()

    def film(self, latent: torch.Tensor, tiling: Tiling | None = None) -> Film:
        """The frames of :meth:`decode`, which are decoded when they are read. Raises :class:`WrongLatent`."""
        latent = _with_frames(latent)
        if latent.dim() != 5 or latent.shape[1] != self.latent_channels:
            raise WrongLatent(
                f"the latent has the shape {list(latent.shape)}, but this VAE decodes videos with "
                f"{self.latent_channels} channels; load the VAE of the model that made the latent"
            )
        return Film(self, latent, tiling)

    def film_shape(self, latent: torch.Tensor) -> torch.Size:
        batch, _, frames, height, width = latent.shape
        length = batch * (1 + FRAMES * (frames - 1))
        return torch.Size((length, height * self.downscale, width * self.downscale, self.shape.image))

    def pieces(self, latent: torch.Tensor, tiling: Tiling | None) -> Iterator[torch.Tensor]:
        """A few frames at a time; each tile keeps what it needs of its earlier frames, so that only the borders of
        tiles differ from the whole."""
        with self._module() as module:
            for item in torch.split(latent.to(compute_device(), torch.float32), 1):
                tiles: dict[int, Iterator[torch.Tensor]] = {}
                for _ in range(module.window_count(item.shape[2])):
                    yield self._piece(module, item, tiles, tiling)

    def _piece(
        self, module: _Module, item: torch.Tensor, tiles: dict[int, Iterator[torch.Tensor]], tiling: Tiling | None
    ) -> torch.Tensor:
        """The next window of every tile, together."""
        numbers = count()

        def decoded(part: torch.Tensor) -> torch.Tensor:
            number = next(numbers)
            if number not in tiles:
                tiles[number] = module.windows(part)
            return next(tiles[number]).cpu()

        with torch.inference_mode():
            if tiling is None:
                made = decoded(item)
            else:
                size = (tiling.size, tiling.size)
                made = in_tiles(item, decoded, size=size, overlap=tiling.overlap, scale=float(self.downscale))
            return ((made[0].movedim(0, -1) + 1) / 2).clamp(0, 1)

    def encode(self, image: torch.Tensor) -> torch.Tensor:
        """``[frames, H, W, 3 or 4]`` to ``[1, C, 1 + (frames - 1) // 4, h, w]``. Sides are center-cropped to multiples
        of the downscale; pictures without transparency are opaque."""
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

    def _frames(self, image: torch.Tensor) -> torch.Tensor:
        """``[1, C, frames, H, W]`` in -1..1."""
        channels = self.shape.image
        cut = functional.pad(image[..., :channels].float(), (0, max(channels - image.shape[-1], 0)), value=1.0)
        for dimension in (1, 2):
            kept = cut.shape[dimension] // self.downscale * self.downscale
            cut = cut.narrow(dimension, (cut.shape[dimension] - kept) // 2, kept)
        return cut.movedim(-1, 0)[None] * 2 - 1

    @contextmanager
    def _module(self) -> Iterator[Any]:
        device = compute_device()
        with residency().use(self.weights, (), self._build, device=device, dtype=torch.float32) as module:
            yield module

    def _build(self) -> _Module:
        return self.shape.build()


def _with_frames(latent: torch.Tensor) -> torch.Tensor:
    return latent if latent.dim() == 5 else latent[:, :, None]


def _encoded(module: _Module, frames: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return module.encode(frames.to(compute_device(), torch.float32)).cpu()
