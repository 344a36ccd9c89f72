"""What ``modules.py`` runs on both sides: weights and inputs that depend on names and shapes only. Imports nothing of
either side."""

import zlib

import torch

SEED = 0
"""Of the noise that a module adds."""


def drawn(name: str, shape: list[int]) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))


def weight(name: str, shape: list[int]) -> torch.Tensor:
    """A weight whose layer keeps the size of its input, roughly."""
    numbers = drawn(name, shape)
    if name.endswith("std-of-means"):
        return 1 + 0.1 * numbers.abs()
    if name.endswith("timestep_scale_multiplier"):
        return torch.tensor(1000.0)
    if name.endswith(("weight_g", "weight.original0")):
        return 0.4 + 0.1 * numbers.abs()
    if "per_channel_scale" in name or "table" in name:
        return 0.1 * numbers
    if len(shape) < 2:
        return 1 + 0.1 * numbers if "norm" in name and name.endswith("weight") else 0.1 * numbers
    return numbers * numbers[0].numel() ** -0.5
