"""The noise that samplers add inside their steps. The noise that sampling starts from is an argument of a run.

A source is called with the levels before and after a step, and returns noise of unit variance in the latent's shape.
"""

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import torch

StepNoise = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

SEEDS = 2**64


def independent(like: torch.Tensor, seed: int) -> StepNoise:
    """New noise at each call, from a generator on the latent's device. On the CPU its seed is one higher; otherwise the
    first draw would equal the noise that sampling started from."""
    generator = torch.Generator(device=like.device)
    generator.manual_seed((seed + 1) % SEEDS if like.device.type == "cpu" else seed)

    def draw(sigma: torch.Tensor, sigma_next: torch.Tensor) -> torch.Tensor:
        return torch.randn(like.shape, dtype=like.dtype, device=like.device, generator=generator)

    return draw


def generator_after_first_noise(like: torch.Tensor, seed: int, device: torch.device) -> torch.Generator:
    """The generator of this seed, in its state after drawing the noise that sampling started from; for randomness
    inside the network. That noise is drawn on the CPU, so a generator on another device has not been used yet."""
    generator = torch.Generator(device).manual_seed(seed)
    if device.type == "cpu":
        torch.randn(like.shape, dtype=like.dtype, generator=generator)
    return generator


def brownian(like: torch.Tensor, seed: int, sigmas: torch.Tensor, *, on_cpu: bool = True) -> StepNoise:
    """Normalized increments of one Brownian path over the schedule's levels, so that schedules of other lengths get the
    same noise (Li et al., "Scalable Gradients for Stochastic Differential Equations", 2020)."""
    device = torch.device("cpu") if on_cpu else like.device
    low, high = float(sigmas[sigmas > 0].min()), float(sigmas.max())

    @cache
    def tree() -> Any:
        from torchsde import BrownianTree  # imports scipy, which is slow

        return BrownianTree(low, torch.zeros(like.shape, dtype=like.dtype, device=device), high, entropy=seed)

    def draw(sigma: torch.Tensor, sigma_next: torch.Tensor) -> torch.Tensor:
        first, last = sorted((float(sigma), float(sigma_next)))
        sign = 1.0 if sigma <= sigma_next else -1.0
        with warnings.catch_warnings():  # the tree rounds its ends and warns if a level falls outside
            warnings.filterwarnings("ignore", "Should have t")
            path: torch.Tensor = tree()(first, last).to(like.device)
        scaled: torch.Tensor = path * (sign / float(last - first) ** 0.5)
        return scaled

    return draw
