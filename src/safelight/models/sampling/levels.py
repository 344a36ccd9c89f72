"""Noise levels of the model families: which sigmas exist, and the timestep that the network gets for each.

A level is the ratio of noise to signal (sigma); for flow models it is the share of noise in the mixture ``(1 - sigma) *
signal + sigma * noise``. Levels and timesteps are float32 tensors of any shape.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch

ABOVE_ALL = 999999999.9
"""A sigma above every level: the start of a range that begins with the first step."""


class Levels(Protocol):
    """``sigma(timestep)`` increases with the timestep; ``sigmas`` is a table of it, ascending."""

    @property
    def sigmas(self) -> torch.Tensor: ...

    def timestep(self, sigma: torch.Tensor) -> torch.Tensor:
        """The timestep that the network gets for ``sigma``."""
        ...

    def sigma(self, timestep: torch.Tensor) -> torch.Tensor: ...

    def sigma_at(self, progress: float) -> float:
        """The level at a point of sampling, 0 (all noise) to 1 (no noise). At both ends, a value beyond every level."""
        ...


@dataclass(frozen=True)
class DiscreteLevels:
    """A table from betas whose square roots are evenly spaced (Rombach et al. 2022); logarithms are interpolated
    between entries. ``zero_terminal`` rescales it to end in pure noise (Lin et al., "Common Diffusion Noise Schedules
    and Sample Steps are Flawed", 2023)."""

    beta_start: float = 0.00085
    beta_end: float = 0.012
    count: int = 1000
    zero_terminal: bool = False

    @cached_property
    def sigmas(self) -> torch.Tensor:
        return self._exact.float()

    @cached_property
    def _exact(self) -> torch.Tensor:
        betas = torch.linspace(self.beta_start**0.5, self.beta_end**0.5, self.count, dtype=torch.float64) ** 2
        signal = torch.cumprod(1.0 - betas, dim=0)
        sigmas = ((1 - signal) / signal).sqrt()
        return _ending_in_pure_noise(sigmas) if self.zero_terminal else sigmas

    @cached_property
    def _logarithms(self) -> torch.Tensor:
        # Rounded once: a level halfway between two entries must map to the same timestep everywhere.
        return self._exact.log().float()

    def timestep(self, sigma: torch.Tensor) -> torch.Tensor:
        distances = sigma.log().to("cpu").unsqueeze(-1) - self._logarithms
        return distances.abs().argmin(dim=-1).to(sigma)

    def sigma(self, timestep: torch.Tensor) -> torch.Tensor:
        return _interpolated(self._logarithms, timestep)

    def sigma_at(self, progress: float) -> float:
        return _sigma_at_progress(progress, lambda left: self.sigma(torch.tensor(left * (self.count - 1))))


@dataclass(frozen=True)
class DistilledLevels:
    """Every 20th level of a discrete table, which latent consistency models were distilled on (Luo et al. 2023)."""

    source: DiscreteLevels = DiscreteLevels()
    count: int = 50

    @cached_property
    def sigmas(self) -> torch.Tensor:
        return self.source.sigmas[self._stride - 1 :: self._stride]

    @property
    def _stride(self) -> int:
        return self.source.count // self.count

    @cached_property
    def _logarithms(self) -> torch.Tensor:
        return self.sigmas.log()

    def timestep(self, sigma: torch.Tensor) -> torch.Tensor:
        distances = sigma.log().to("cpu").unsqueeze(-1) - self._logarithms
        return (distances.abs().argmin(dim=-1) * self._stride + (self._stride - 1)).to(sigma)

    def sigma(self, timestep: torch.Tensor) -> torch.Tensor:
        return _interpolated(self._logarithms, (timestep.float() - (self._stride - 1)) / self._stride)

    def sigma_at(self, progress: float) -> float:
        return _sigma_at_progress(progress, lambda left: self.sigma(torch.tensor(left * (self.source.count - 1))))


@dataclass(frozen=True)
class ContinuousEdmLevels:
    """Any level between two; the timestep is a quarter of its logarithm (Karras et al. 2022)."""

    sigma_min: float = 0.002
    sigma_max: float = 120.0

    @cached_property
    def sigmas(self) -> torch.Tensor:
        return torch.linspace(math.log(self.sigma_min), math.log(self.sigma_max), 1000).exp()

    def timestep(self, sigma: torch.Tensor) -> torch.Tensor:
        return 0.25 * sigma.log()

    def sigma(self, timestep: torch.Tensor) -> torch.Tensor:
        return (timestep / 0.25).exp()

    def sigma_at(self, progress: float) -> float:
        low, high = math.log(self.sigma_min), math.log(self.sigma_max)
        return _sigma_at_progress(progress, lambda left: math.exp((high - low) * left + low))


@dataclass(frozen=True)
class ContinuousVLevels(ContinuousEdmLevels):
    """Any level between two; the timestep is its angle, as a fraction of a right angle (Salimans and Ho 2022)."""

    sigma_min: float = 0.03
    sigma_max: float = 500.0

    def timestep(self, sigma: torch.Tensor) -> torch.Tensor:
        return sigma.atan() / math.pi * 2

    def sigma(self, timestep: torch.Tensor) -> torch.Tensor:
        return (timestep * math.pi / 2).tan()


@dataclass(frozen=True)
class FlowLevels:
    """Levels 0..1 of a flow, shifted towards noise by a factor on their signal-to-noise ratio (Esser et al., "Scaling
    Rectified Flow Transformers", 2024). The timestep is the level times ``multiplier``."""

    shift: float = 1.0
    multiplier: float = 1000.0
    count: int = 1000

    @cached_property
    def sigmas(self) -> torch.Tensor:
        return self.sigma(torch.arange(1, self.count + 1) / self.count * self.multiplier)

    def timestep(self, sigma: torch.Tensor) -> torch.Tensor:
        return sigma * self.multiplier

    def sigma(self, timestep: torch.Tensor) -> torch.Tensor:
        part = timestep / self.multiplier
        return part if self.shift == 1.0 else self.shift * part / (1 + (self.shift - 1) * part)

    def sigma_at(self, progress: float) -> float:
        return _sigma_at_progress(progress, lambda left: self.shift * left / (1 + (self.shift - 1) * left), start=1.0)


@dataclass(frozen=True)
class ExponentialFlowLevels:
    """Flow levels with the logarithm of the shift as parameter, as in Flux, where it depends on the image size."""

    log_shift: float = 1.15
    count: int = 10000

    @cached_property
    def sigmas(self) -> torch.Tensor:
        return self.sigma(torch.arange(1, self.count + 1) / self.count)

    def timestep(self, sigma: torch.Tensor) -> torch.Tensor:
        return sigma

    def sigma(self, timestep: torch.Tensor) -> torch.Tensor:
        factor = math.exp(self.log_shift)
        return factor / (factor + (1 / timestep - 1))

    def sigma_at(self, progress: float) -> float:
        return _sigma_at_progress(progress, lambda left: self.sigma(torch.tensor(left)), start=1.0)


@dataclass(frozen=True)
class CosineLevels:
    """The cosine schedule of Nichol and Dhariwal (2021), with its signal-to-noise ratio divided by the square of
    ``shift`` (Hoogeboom et al., "Simple Diffusion", 2023), as in Stable Cascade."""

    shift: float = 1.0
    offset: float = 8e-3
    count: int = 10000

    @cached_property
    def sigmas(self) -> torch.Tensor:
        return self.sigma(torch.arange(1, self.count + 1) / self.count)

    @property
    def _first(self) -> float:
        return math.cos(self.offset / (1 + self.offset) * math.pi / 2) ** 2

    def timestep(self, sigma: torch.Tensor) -> torch.Tensor:
        signal = (1 / (sigma**2 + 1)).clamp(0, 1)
        angle = (signal * self._first).sqrt().acos() / (math.pi / 2)
        return angle * (1 + self.offset) - self.offset

    def sigma(self, timestep: torch.Tensor) -> torch.Tensor:
        signal = torch.cos((timestep + self.offset) / (1 + self.offset) * math.pi / 2) ** 2 / self._first
        if self.shift != 1.0:
            signal = torch.sigmoid((signal / (1 - signal)).log() - 2 * math.log(self.shift))
        signal = signal.clamp(0.0001, 0.9999)
        return ((1 - signal) / signal).sqrt()

    def sigma_at(self, progress: float) -> float:
        return _sigma_at_progress(progress, lambda left: self.sigma(torch.tensor(left)))


def _sigma_at_progress(
    progress: float, sigma: Callable[[float], torch.Tensor | float], *, start: float = ABOVE_ALL
) -> float:
    """``sigma`` of the remaining part of sampling; beyond every level at both ends."""
    if progress <= 0.0:
        return start
    return 0.0 if progress >= 1.0 else float(sigma(1.0 - progress))


def _interpolated(logarithms: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
    position = timestep.float().to("cpu").clamp(0, len(logarithms) - 1)
    low = position.floor().long()
    part = position.frac()
    mixed = (1 - part) * logarithms[low] + part * logarithms[position.ceil().long()]
    return mixed.exp().to(timestep.device)


def _ending_in_pure_noise(sigmas: torch.Tensor) -> torch.Tensor:
    """Shift the square roots of the signal so that the last is 0, and scale them so that the first is unchanged."""
    roots = (1 / (sigmas**2 + 1)).sqrt()
    roots = (roots - roots[-1]) * (roots[0] / (roots[0] - roots[-1]))
    signal = roots**2
    signal[-1] = 4.8973451890853435e-08  # 0 would be an infinite sigma
    return ((1 - signal) / signal).sqrt()
