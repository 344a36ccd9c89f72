"""What travels on ``VAE`` links: an autoencoder as a value. Pictures are ``IMAGE`` values, latents unscaled."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from safelight.models.autoencoder.autoencoder_module import Autoencoder, AutoencoderShape
from safelight.models.autoencoder.tiles import in_tiles
from safelight.models.autoencoder.tiny import TinyAutoencoder, TinyShape
from safelight.models.residency import compute_device, residency
from safelight.models.weights import Weights


@dataclass(frozen=True)
class PictureAutoencoder:
    """Computes in float32, whose range holds the activations of every autoencoder of this kind."""

    weights: Weights
    shape: AutoencoderShape | TinyShape
    groups: int = 32

    @property
    def downscale(self) -> int:
        return self.shape.downscale

    def spacial_compression_encode(self) -> int:
        """As node packs ask for it."""
        return self.downscale

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """``[B, C, h, w]`` to ``[B, H, W, 3]`` in 0..1."""
        with self._module() as module:
            return _pictures(torch.cat([_decoded(module, item) for item in torch.split(latent, 1)]))

    def encode(self, image: torch.Tensor) -> torch.Tensor:
        """``[B, H, W, 3 or more]`` to ``[B, C, h, w]``. Sides are cut in the middle to multiples of the downscale."""
        with self._module() as module:
            return torch.cat([_encoded(module, item) for item in torch.split(self._planes(image), 1)])

    def decode_tiled(self, latent: torch.Tensor, *, tile: int, overlap: int) -> torch.Tensor:
        """The same in tiles of so many cells of the latent, for pictures too large for the memory."""
        with self._module() as module:
            step = self._in_tiles(lambda part: _decoded(module, part), tile, overlap, float(self.downscale))
            return _pictures(torch.cat([step(item) for item in torch.split(latent.float(), 1)]))

    def encode_tiled(self, image: torch.Tensor, *, tile: int, overlap: int) -> torch.Tensor:
        """The same in tiles of so many pixels."""
        with self._module() as module:
            step = self._in_tiles(lambda part: _encoded(module, part), tile, overlap, 1 / self.downscale)
            return torch.cat([step(item) for item in torch.split(self._planes(image), 1)])

    def _in_tiles(
        self, work: Callable[[torch.Tensor], torch.Tensor], tile: int, overlap: int, scale: float
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        """Three ways to lay tiles, of other proportions, averaged: no seam is at the same place twice."""
        layouts = ((tile // 2, tile * 2), (tile * 2, tile // 2), (tile, tile))

        def step(planes: torch.Tensor) -> torch.Tensor:
            made = [in_tiles(planes, work, size=layout, overlap=overlap, scale=scale) for layout in layouts]
            return torch.stack(made).mean(dim=0)

        return step

    def _planes(self, image: torch.Tensor) -> torch.Tensor:
        cut = image[..., :3].movedim(-1, 1)
        for dimension in (2, 3):
            kept = cut.shape[dimension] // self.downscale * self.downscale
            cut = cut.narrow(dimension, (cut.shape[dimension] - kept) // 2, kept)
        return cut.float() * 2 - 1

    @contextmanager
    def _module(self) -> Iterator[Any]:
        device = compute_device()
        with (
            residency.use(self.weights, (), self._build, device=device, dtype=torch.float32) as module,
            torch.inference_mode(),
        ):
            yield module

    def _build(self) -> Autoencoder | TinyAutoencoder:
        if isinstance(self.shape, TinyShape):
            return TinyAutoencoder(self.shape)
        return Autoencoder(self.shape, groups=self.groups)


def _decoded(module: Autoencoder | TinyAutoencoder, latent: torch.Tensor) -> torch.Tensor:
    return module.decode(latent.to(compute_device(), torch.float32)).cpu()


def _encoded(module: Autoencoder | TinyAutoencoder, planes: torch.Tensor) -> torch.Tensor:
    return module.moments(planes.to(compute_device(), torch.float32))[0].cpu()


def _pictures(planes: torch.Tensor) -> torch.Tensor:
    return ((planes + 1) / 2).clamp(0, 1).movedim(1, -1).contiguous()
