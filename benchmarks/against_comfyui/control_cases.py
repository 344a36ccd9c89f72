"""The runs of ``controls.py``, which both sides read: ControlNets and model patches on the networks of
``family_cases.py``. Imports nothing of either.
"""

import zlib
from typing import Any

import torch
from torch.nn import functional

CASES: dict[str, dict[str, Any]] = {
    "qwen-image, instantx": {"of": "qwen-image", "latent": [1, 16, 1, 8, 6]},
    "qwen-image, instantx inpainting": {"of": "qwen-image", "latent": [1, 16, 1, 8, 6], "mask": True},
    "qwen-image, diffsynth": {"of": "qwen-image", "latent": [1, 16, 1, 8, 6]},
    "qwen-image, diffsynth inpainting": {"of": "qwen-image", "latent": [1, 16, 1, 8, 6], "mask": True},
    "z-image, fun control": {"of": "z-image, two refiners", "latent": [1, 16, 8, 6], "steps": [1]},
    "z-image, fun control 2": {"of": "z-image, two refiners", "latent": [1, 16, 8, 6], "mask": True, "steps": [1]},
    "flux dev, uso": {"of": "flux dev", "latent": [1, 16, 8, 6]},
    "sd3.5 large, stability": {"of": "sd3.5 large", "latent": [1, 16, 8, 6]},
}
"""``of``: the case of ``family_cases.py`` whose model and conditioning it has. ``steps``: if they are not those of that
file. ComfyUI's Fun ControlNet keeps its state from step to step in a network that is shorter than the published
ones."""

STRENGTH = 0.8


def drawn(name: str, shape: list[int]) -> torch.Tensor:
    """Normal numbers that depend only on the name and the shape."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))


class Autoencoder:
    """Stands for a VAE on both sides: means of 8 x 8 pixels, mixed into 16 channels."""

    def __init__(self, *, is_video: bool) -> None:
        self.is_video = is_video
        self.mix = drawn("autoencoder", [16, 3])

    def spacial_compression_encode(self) -> int:
        return 8

    def encode(self, image: torch.Tensor) -> torch.Tensor:
        pooled = functional.avg_pool2d(image.movedim(-1, 1).float(), 8)
        latent = torch.einsum("cr,brhw->bchw", self.mix, pooled)
        return latent[:, :, None] if self.is_video else latent


def image(name: str) -> torch.Tensor:
    """``[1, H, W, 3]`` in 0..1, of another shape than the latent."""
    return drawn(f"{name} image", [1, 80, 40, 3]).sigmoid()


def mask(name: str) -> torch.Tensor:
    return (drawn(f"{name} mask", [1, 80, 40]) > 0.5).float()


def vision_layers(name: str) -> torch.Tensor:
    """All states of an image's encoder, ``[1, layers, tokens, features]``."""
    return drawn(f"{name} vision", [1, 24, 729, 1152])
