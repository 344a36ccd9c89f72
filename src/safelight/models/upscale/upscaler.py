"""The value on ``UPSCALE_MODEL`` links: an upscaling model."""

import re
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from safelight.models.autoencoder.tiles import in_tiles
from safelight.models.residency import compute_device, residency
from safelight.models.upscale.upscaler_module import (
    CompactNetwork,
    CompactShape,
    DenseNetwork,
    DenseShape,
    renamed,
    upscaler_shape,
)
from safelight.models.weights import UnknownWeights, Weights, weight_file

TILE = 512
OVERLAP = 32


@dataclass(frozen=True)
class Upscaler:
    """A network that enlarges images by a fixed factor, ``scale``."""

    weights: Weights
    shape: DenseShape | CompactShape

    @property
    def scale(self) -> int:
        return self.shape.scale

    def enlarge(self, image: torch.Tensor, *, tile: int = TILE, overlap: int = OVERLAP) -> torch.Tensor:
        """``[B, H, W, 3]`` in 0..1 to ``scale`` times the sides, tile by tile."""
        device = compute_device()
        with (
            residency().use(self.weights, (), self._module, device=device, dtype=torch.float32) as module,
            torch.inference_mode(),
        ):

            def work(planes: torch.Tensor) -> torch.Tensor:
                made: torch.Tensor = module(planes.to(device)).cpu()
                return made

            planes = torch.split(image[..., :3].movedim(-1, 1).float(), 1)
            made = [in_tiles(p, work, size=(tile, tile), overlap=overlap, scale=float(self.scale)) for p in planes]
        return torch.cat(made).clamp(0, 1).movedim(1, -1).contiguous()

    def _module(self) -> nn.Module:
        return DenseNetwork(self.shape) if isinstance(self.shape, DenseShape) else CompactNetwork(self.shape)


def load_upscaler(path: Path) -> Upscaler:
    """Load an upscaler. Raises :class:`UnknownWeights`; :class:`safelight.media.media_errors.UnreadableWeights`."""
    file = weight_file(path)
    weights = _in_later_names(file.weights("params_ema.") or file.weights("params.") or file.weights())
    try:
        shape = upscaler_shape(weights.shapes)
    except KeyError as error:
        raise UnknownWeights(
            f"{path.name!r} contains no supported upscaler (ESRGAN, Real-ESRGAN, compact): {error} is missing"
        ) from None
    return Upscaler(weights, shape)


def _in_later_names(weights: Weights) -> Weights:
    numbered = [int(found[1]) for name in weights.sources if (found := re.match(r"model\.1\.sub\.(\d+)\.", name))]
    if not numbered:
        return weights
    last = max(int(found[1]) for name in weights.sources if (found := re.match(r"model\.(\d+)\.", name)))
    names = {name: renamed(name, blocks=max(numbered), ups=(last - 4) // 3) for name in weights.sources}
    return Weights({new: weights.sources[old] for old, new in names.items() if new is not None})
