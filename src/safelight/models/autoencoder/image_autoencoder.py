"""The value on ``VAE`` links: an autoencoder. Images are ``IMAGE`` values; latents are unscaled."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from safelight.models.autoencoder.autoencoder_module import Autoencoder, AutoencoderShape
from safelight.models.autoencoder.qwen_image21_module import QwenImage21Autoencoder, QwenImage21AutoencoderShape
from safelight.models.autoencoder.tiles import in_tiles
from safelight.models.autoencoder.tiny import TinyAutoencoder, TinyShape
from safelight.models.residency import compute_device, residency
from safelight.models.weights import Weights

Shape = AutoencoderShape | TinyShape | QwenImage21AutoencoderShape
Module = Autoencoder | TinyAutoencoder | QwenImage21Autoencoder


@dataclass(frozen=True)
class ImageAutoencoder:
    """Computes in float32, whose range holds the activations of every autoencoder of this kind."""

    weights: Weights
    shape: Shape
    groups: int = 32

    @property
    def downscale(self) -> int:
        return self.shape.downscale

    def spacial_compression_encode(self) -> int:
        """The downscale, under the name that node packs call."""
        return self.downscale

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """``[B, C, h, w]`` to ``[B, H, W, 3 or 4]`` in 0..1."""
        with self._module() as module:
            return _images(torch.cat([_decoded(module, item) for item in torch.split(latent, 1)]))

    def encode(self, image: torch.Tensor) -> torch.Tensor:
        """``[B, H, W, 3 or more]`` to ``[B, C, h, w]``. Sides are center-cropped to multiples of the downscale;
        pictures without transparency are opaque."""
        with self._module() as module:
            return torch.cat([_encoded(module, item) for item in torch.split(self._planes(image), 1)])

    def decode_tiled(self, latent: torch.Tensor, *, tile: int, overlap: int) -> torch.Tensor:
        """Decode in tiles of ``tile`` latent pixels, for images too large for the memory."""
        with self._module() as module:
            step = self._in_tiles(lambda part: _decoded(module, part), tile, overlap, float(self.downscale))
            return _images(torch.cat([step(item) for item in torch.split(latent.float(), 1)]))

    def encode_tiled(self, image: torch.Tensor, *, tile: int, overlap: int) -> torch.Tensor:
        """Encode in tiles of ``tile`` pixels."""
        with self._module() as module:
            step = self._in_tiles(lambda part: _encoded(module, part), tile, overlap, 1 / self.downscale)
            return torch.cat([step(item) for item in torch.split(self._planes(image), 1)])

    def _in_tiles(
        self, work: Callable[[torch.Tensor], torch.Tensor], tile: int, overlap: int, scale: float
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        """Average three tilings with different aspect ratios, so that their seams do not coincide."""
        layouts = ((tile // 2, tile * 2), (tile * 2, tile // 2), (tile, tile))

        def step(planes: torch.Tensor) -> torch.Tensor:
            made = [in_tiles(planes, work, size=layout, overlap=overlap, scale=scale) for layout in layouts]
            return torch.stack(made).mean(dim=0)

        return step

    def _planes(self, image: torch.Tensor) -> torch.Tensor:
        channels = self.shape.image if isinstance(self.shape, QwenImage21AutoencoderShape) else 3
        cut = functional.pad(image[..., :channels], (0, max(channels - image.shape[-1], 0)), value=1.0).movedim(-1, 1)
        for dimension in (2, 3):
            kept = cut.shape[dimension] // self.downscale * self.downscale
            cut = cut.narrow(dimension, (cut.shape[dimension] - kept) // 2, kept)
        return cut.float() * 2 - 1

    @contextmanager
    def _module(self) -> Iterator[Any]:
        device = compute_device()
        with (
            residency().use(self.weights, (), self._build, device=device, dtype=torch.float32) as module,
            torch.inference_mode(),
        ):
            yield module

    def _build(self) -> Module:
        if isinstance(self.shape, QwenImage21AutoencoderShape):
            return QwenImage21Autoencoder(self.shape)
        if isinstance(self.shape, TinyShape):
            return TinyAutoencoder(self.shape)
        return Autoencoder(self.shape, groups=self.groups)


def _decoded(module: Module, latent: torch.Tensor) -> torch.Tensor:
    return module.decode(latent.to(compute_device(), torch.float32)).cpu()


def _encoded(module: Module, planes: torch.Tensor) -> torch.Tensor:
    return module.moments(planes.to(compute_device(), torch.float32))[0].cpu()


def _images(planes: torch.Tensor) -> torch.Tensor:
    return ((planes + 1) / 2).clamp(0, 1).movedim(1, -1).contiguous()
