"""The value on ``INTERP_MODEL`` links: a network that makes frames between two frames."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from safelight.core.errors import Invalid
from safelight.models.frames.film_module import LEVELS, Film, FilmShape, film_shape
from safelight.models.residency import compute_device, residency
from safelight.models.weights import UnknownWeights, Weights, weight_file

SMALLEST = 2 ** (LEVELS - 1)
"""Pixels of the shorter side of a frame, of which the coarsest scale has one."""


class FramesTooSmall(Invalid):
    """Frames with fewer pixels than the network has scales for."""

    code = "frames_too_small"


@dataclass(frozen=True)
class FrameInterpolator:
    """Computes in float32."""

    weights: Weights
    shape: FilmShape

    def between(self, first: torch.Tensor, second: torch.Tensor, count: int) -> torch.Tensor:
        """``count`` frames ``[count, H, W, 3]`` at equal times between two of ``[H, W, 3]`` in 0..1. Raises
        :class:`FramesTooSmall`."""
        if min(first.shape[:2]) < SMALLEST:
            raise FramesTooSmall(
                f"frames of {first.shape[1]} x {first.shape[0]} pixels are too small; each side needs {SMALLEST}"
            )
        device = compute_device()
        times = [number / (count + 1) for number in range(1, count + 1)]
        with (
            residency().use(self.weights, (), self._build, device=device, dtype=torch.float32) as module,
            torch.inference_mode(),
        ):
            frames = (frame[..., :3].movedim(-1, 0)[None].to(device, torch.float32) for frame in (first, second))
            made: torch.Tensor = module(*frames, times)
        return made.clamp(0, 1).movedim(1, -1).cpu()

    def _build(self) -> nn.Module:
        return Film(self.shape)


def load_frame_interpolator(path: Path) -> FrameInterpolator:
    """Raises :class:`UnknownWeights`; :class:`safelight.media.media_errors.UnreadableWeights`."""
    weights = weight_file(path).weights()
    try:
        return FrameInterpolator(weights, film_shape(weights.shapes))
    except (KeyError, IndexError) as error:
        raise UnknownWeights(f"{path.name!r} contains no supported frame interpolation (FILM): {error}") from None
