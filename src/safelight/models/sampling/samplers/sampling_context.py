"""The input of a sampler.

``x`` is the noisy latent on the sampler's scale. A sampler steps from level to level; if the next level is 0, the
result is the noise-free latent that the network predicts.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch

from safelight.models.sampling.noise import StepNoise, brownian, independent
from safelight.models.sampling.parameterization import Parameterization


class Denoised(NamedTuple):
    """``guided``: the noise-free latent under all conditioning. ``negative``: under the negative conditioning alone;
    equal to ``guided`` if it was not requested."""

    guided: torch.Tensor
    negative: torch.Tensor


class Denoise(Protocol):
    def __call__(self, x: torch.Tensor, sigma: torch.Tensor, *, needs_negative: bool = False) -> Denoised:
        """``sigma`` is a 0-d tensor. ``needs_negative``: evaluate the negative side even if guidance does not need
        it."""
        ...


OnStep = Callable[[int, torch.Tensor, torch.Tensor], None]
"""``(index, denoised, x)`` of each step, before it is taken."""


class Step(NamedTuple):
    number: int
    sigma: torch.Tensor
    next: torch.Tensor

    @property
    def is_last(self) -> bool:
        """Whether it ends without noise."""
        return bool(self.next == 0)


def _ignore(index: int, denoised: torch.Tensor, x: torch.Tensor) -> None: ...


@dataclass(frozen=True, eq=False)
class SamplingContext:
    """One run of a sampler. ``sigmas [steps + 1]``, falling. ``noise``: replaces the sampler's own source, for
    tests."""

    denoise: Denoise
    x: torch.Tensor
    sigmas: torch.Tensor
    parameterization: Parameterization
    seed: int = 0
    on_step: OnStep = _ignore
    noise: StepNoise | None = field(default=None)

    @property
    def is_flow(self) -> bool:
        return self.parameterization.is_flow

    def steps(self, sigmas: torch.Tensor | None = None) -> Iterator[Step]:
        sigmas = self.sigmas if sigmas is None else sigmas
        for index in range(len(sigmas) - 1):
            yield Step(index, sigmas[index], sigmas[index + 1])

    def with_finite_snr(self) -> torch.Tensor:
        return self.parameterization.with_finite_snr(self.sigmas)

    def evaluate(self, step: Step, x: torch.Tensor, *, needs_negative: bool = False) -> Denoised:
        """Predict at the start of a step, and report the step."""
        denoised = self.denoise(x, step.sigma, needs_negative=needs_negative)
        self.on_step(step.number, denoised.guided, x)
        return denoised

    def guided(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """Predict inside a step, without a report."""
        return self.denoise(x, sigma).guided

    def fresh_noise(self) -> StepNoise:
        return self.noise or independent(self.x, self.seed)

    def brownian_noise(self, *, on_cpu: bool = True) -> StepNoise:
        return self.noise or brownian(self.x, self.seed, self.sigmas, on_cpu=on_cpu)

    def half_log_snr(self, sigma: torch.Tensor) -> torch.Tensor:
        return self.parameterization.half_log_snr(sigma)

    def sigma_of(self, half_log_snr: torch.Tensor) -> torch.Tensor:
        return self.parameterization.sigma_of_half_log_snr(half_log_snr)

    def ancestral(self, step: Step, eta: float) -> "Ancestral":
        """Split a step into a deterministic part and fresh noise; with ``eta`` 0 it is all deterministic."""
        sigma, following = step.sigma, step.next
        if not self.is_flow:
            down, up = ancestral(sigma, following, eta)
            return Ancestral(down, torch.ones_like(down), up)
        down = following * (1 + (following / sigma - 1) * eta)
        shrink = (1 - following) / (1 - down)
        return Ancestral(down, shrink, (following**2 - (down * shrink) ** 2).clamp_min(0).sqrt())

    def middle(self, sigma: torch.Tensor, following: torch.Tensor) -> torch.Tensor:
        """Halfway in half log SNR; from pure noise, whose half log SNR is infinite, a level just below it."""
        if self.is_flow and sigma >= 1:
            return torch.full_like(sigma, 0.9999)
        return self.sigma_of((self.half_log_snr(sigma) + self.half_log_snr(following)) / 2)

    def alpha(self, sigma: torch.Tensor) -> torch.Tensor:
        """The share of the signal: 1 if noise is added to an unchanged signal."""
        return 1 - sigma if self.is_flow else torch.ones_like(sigma)


Sampler = Callable[..., torch.Tensor]
"""Takes a :class:`SamplingContext` and its own options by keyword; returns the latent at the last level."""


def slope(x: torch.Tensor, sigma: torch.Tensor, denoised: torch.Tensor) -> torch.Tensor:
    """``dx / dsigma`` of the probability flow (Karras et al. 2022, equation 1)."""
    return (x - denoised) / sigma


class Ancestral(NamedTuple):
    """The level to step to (``down``), and what to do then to reach the next level: ``x * shrink + noise * up``."""

    down: torch.Tensor
    shrink: torch.Tensor
    up: torch.Tensor


def ancestral(sigma: torch.Tensor, following: torch.Tensor, eta: float) -> tuple[torch.Tensor, torch.Tensor]:
    """``down`` and ``up`` if the signal is unchanged."""
    if not eta:
        return following, torch.zeros_like(following)
    if not sigma.isfinite():
        return torch.zeros_like(following), following
    up = (eta * (following**2 * (sigma**2 - following**2) / sigma**2).clamp_min(0).sqrt()).minimum(following)
    return (following**2 - up**2).clamp_min(0).sqrt(), up


def sqrt_lost(exponent: torch.Tensor) -> torch.Tensor:
    """``sqrt(1 - exp(-exponent))``."""
    return (-torch.expm1(-exponent)).clamp_min(0).sqrt()
