"""What a sampler works on.

``x`` is the noisy latent on the sampler's scale. A sampler goes from level to level; where the next level is 0, the
noise-free latent that the network sees is the result.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch

from safelight.models.sampling.noise import StepNoise, brownian, independent
from safelight.models.sampling.parameterization import Parameterization


class Denoised(NamedTuple):
    """``guided``: the noise-free latent under all conditions. ``negative``: under the negative ones alone; the guided
    one where none were asked for."""

    guided: torch.Tensor
    negative: torch.Tensor


class Denoise(Protocol):
    def __call__(self, x: torch.Tensor, sigma: torch.Tensor, *, needs_negative: bool = False) -> Denoised:
        """``sigma`` is a 0-d tensor. ``needs_negative``: even where guidance could do without."""
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
class Run:
    """``sigmas [steps + 1]``, falling. ``noise``: replaces a sampler's own source, for tests."""

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

    def at(self, step: Step, x: torch.Tensor, *, needs_negative: bool = False) -> Denoised:
        """The prediction with which a step begins; it is reported."""
        denoised = self.denoise(x, step.sigma, needs_negative=needs_negative)
        self.on_step(step.number, denoised.guided, x)
        return denoised

    def guided(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """The prediction within a step."""
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
        """A part of a step that ends in fresh noise; all of it for ``eta`` 0."""
        sigma, following = step.sigma, step.next
        if not self.is_flow:
            down, up = ancestral(sigma, following, eta)
            return Ancestral(down, torch.ones_like(down), up)
        down = following * (1 + (following / sigma - 1) * eta)
        shrink = (1 - following) / (1 - down)
        return Ancestral(down, shrink, (following**2 - (down * shrink) ** 2).clamp_min(0).sqrt())

    def middle(self, sigma: torch.Tensor, following: torch.Tensor) -> torch.Tensor:
        """Halfway in half log SNR; from pure noise, from where there is no way, just below it."""
        if self.is_flow and sigma >= 1:
            return torch.full_like(sigma, 0.9999)
        return self.sigma_of((self.half_log_snr(sigma) + self.half_log_snr(following)) / 2)

    def alpha(self, sigma: torch.Tensor) -> torch.Tensor:
        """The share of the signal: 1 where noise is added to a signal that stays."""
        return 1 - sigma if self.is_flow else torch.ones_like(sigma)


Sampler = Callable[..., torch.Tensor]
"""Takes a :class:`Run` and, by keyword, the options of its kind; gives the latent at the last level."""


def slope(x: torch.Tensor, sigma: torch.Tensor, denoised: torch.Tensor) -> torch.Tensor:
    """``dx / dsigma`` of the probability flow (Karras et al. 2022, equation 1)."""
    return (x - denoised) / sigma


class Ancestral(NamedTuple):
    """Where to step (``down``), and what to do then: ``x * shrink + noise * up``, to be at the next level."""

    down: torch.Tensor
    shrink: torch.Tensor
    up: torch.Tensor


def ancestral(sigma: torch.Tensor, following: torch.Tensor, eta: float) -> tuple[torch.Tensor, torch.Tensor]:
    """``down`` and ``up`` where the signal stays as it is."""
    if not eta:
        return following, torch.zeros_like(following)
    if not sigma.isfinite():
        return torch.zeros_like(following), following
    up = (eta * (following**2 * (sigma**2 - following**2) / sigma**2).clamp_min(0).sqrt()).minimum(following)
    return (following**2 - up**2).clamp_min(0).sqrt(), up


def sqrt_lost(exponent: torch.Tensor) -> torch.Tensor:
    """``sqrt(1 - exp(-exponent))``."""
    return (-torch.expm1(-exponent)).clamp_min(0).sqrt()
