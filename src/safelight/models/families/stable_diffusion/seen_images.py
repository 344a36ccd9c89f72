"""Images as a pooled condition (unCLIP, Ramesh et al. 2022; SDXL's "revision"): their CLIP embeddings under the noise
of an augmentation level.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from safelight.models.unet.unet_module import sinusoids

UNCLIP = "unclip_conditioning"
"""The option of a conditioning."""

LEVELS = 1000
_LARGEST_BETA = 0.999


@dataclass(frozen=True, eq=False)
class SeenImage:
    """``embeddings [B, features]``; ``augmentation`` in 0..1."""

    embeddings: torch.Tensor
    strength: float
    augmentation: float


def pooled_images(images: Sequence[SeenImage], *, seed: int, merge: float = 0.0) -> torch.Tensor:
    """``[1, features]``. The noise of each image is drawn from ``seed``. ``merge``: the augmentation of the sum of
    several."""
    generator = torch.Generator()
    made = []
    for image in images:
        for embedding in image.embeddings.float().cpu():
            generator.manual_seed(seed)
            made.append(_augmented(embedding[None], image.augmentation, generator) * image.strength)
    features = images[0].embeddings.shape[-1]
    if len(made) > 1:
        total = torch.stack(made).sum(0)
        return _augmented(total[:, :features], merge, generator)[:, :features]
    return made[0][:, :features]


def _augmented(embedding: torch.Tensor, augmentation: float, generator: torch.Generator) -> torch.Tensor:
    """The noisy embedding, and beside it the embedded level."""
    level = round((LEVELS - 1) * augmentation)
    signal = torch.tensor(_signals()[level])
    noise = torch.randn(embedding.shape, generator=generator)
    noisy = signal.sqrt() * embedding + (1 - signal).sqrt() * noise
    return torch.cat((noisy, sinusoids(torch.tensor([level]), embedding.shape[-1])), dim=1)


def _signals() -> list[float]:
    """The share of the signal's variance at each level, by the cosine schedule (Nichol and Dhariwal 2021)."""

    def at(time: float) -> float:
        return math.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2

    shares, share = [], 1.0
    for level in range(LEVELS):
        share *= 1 - min(1 - at((level + 1) / LEVELS) / at(level / LEVELS), _LARGEST_BETA)
        shares.append(share)
    return shares
