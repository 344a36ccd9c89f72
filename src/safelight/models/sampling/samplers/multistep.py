"""Samplers that extrapolate from previous steps.

LMS and iPNDM: the Adams-Bashforth method, with the real step lengths or as if they were equal (Zhang and Chen 2023).
DEIS: the same with polynomials in the time of a variance-preserving diffusion (ibid.). DPM-Solver++ 2M: Lu et al. 2022.
RES: Zhang et al., "Improved Order Analysis and Design of Exponential Integrator for Diffusion Models Sampling", 2023.
Gradient estimation: Permenter and Yuan 2024. UniPC: Zhao et al. 2023.
"""

import math
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import torch

from safelight.models.sampling.samplers.sampling_context import SamplingContext, ancestral, slope

Integrals = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], list[float]]
"""``(known, start, end)``: the weight of the slope at each known level in the step."""

_POINTS = 64
_DEIS_POINTS = 10_000


def lms(context: SamplingContext, *, order: int = 4) -> torch.Tensor:
    return _adams(context, order, _integrals)


def deis(context: SamplingContext, *, max_order: int = 3) -> torch.Tensor:
    return _adams(context, max_order, _deis_integrals)


def _adams(context: SamplingContext, order: int, integrals: Integrals) -> torch.Tensor:
    """Integrate the polynomial through the last slopes over the step."""
    x = context.x
    slopes: deque[torch.Tensor] = deque(maxlen=order)
    for step in context.steps():
        denoised = context.evaluate(step, x).guided
        if step.is_last:
            x = denoised
            continue
        slopes.appendleft(slope(x, step.sigma, denoised))
        known = context.sigmas[step.number + 1 - len(slopes) : step.number + 1].flip(0)
        weights = integrals(known, step.sigma, step.next)
        x = x + sum(weight * known_slope for weight, known_slope in zip(weights, slopes, strict=True))
    return x


def _integrals(known: torch.Tensor, start: torch.Tensor, end: torch.Tensor) -> list[float]:
    """Integrals of the Lagrange polynomials through ``known``, from ``start`` to ``end``."""
    points, weights = _gauss_legendre()
    middle, half = (float(start) + float(end)) / 2, (float(end) - float(start)) / 2
    polynomials = _lagrange(known.double().cpu(), middle + half * points)
    return [float((polynomial * weights).sum()) * half for polynomial in polynomials]


def _lagrange(nodes: torch.Tensor, at: torch.Tensor) -> list[torch.Tensor]:
    """For each of ``nodes``, the polynomial that is 1 there and 0 at the others."""
    polynomials = []
    for index, node in enumerate(nodes):
        polynomial = torch.ones_like(at)
        for other in torch.cat((nodes[:index], nodes[index + 1 :])):
            polynomial = polynomial * (at - other) / (node - other)
        polynomials.append(polynomial)
    return polynomials


def _gauss_legendre() -> tuple[torch.Tensor, torch.Tensor]:
    import numpy as np

    points, weights = np.polynomial.legendre.leggauss(_POINTS)
    return torch.from_numpy(points), torch.from_numpy(weights)


def _deis_integrals(known: torch.Tensor, start: torch.Tensor, end: torch.Tensor) -> list[float]:
    """Integrals over sigma of polynomials in :func:`_vp_time`, as the sum over evenly spaced times that the authors'
    program uses."""
    if len(known) == 1:
        return [float(end - start)]
    ends = _vp_time(torch.stack([start, end]).double().cpu())
    times = torch.linspace(float(ends[0]), float(ends[1]), _DEIS_POINTS, dtype=torch.float64)
    width = (ends[1] - ends[0]) / _DEIS_POINTS
    signal, log_slope = _vp_signal(times)
    change = -0.5 * log_slope / (signal * (1 - signal)).sqrt()
    return [float((change * each).sum() * width) for each in _lagrange(_vp_time(known.double().cpu()), times)]


def _vp_betas(first: float = 1e-3, sigma_min: float = 0.002, sigma_max: float = 80.0) -> tuple[float, float]:
    """The minimum beta and its growth, for the diffusion that has ``sigma_min`` at ``first`` and ``sigma_max`` at 1
    (Karras et al. 2022, table 1)."""
    low, high = math.log(sigma_min**2 + 1), math.log(sigma_max**2 + 1)
    growth = 2 * (low / first - high) / (first - 1)
    return high - growth / 2, growth


def _vp_time(sigma: torch.Tensor) -> torch.Tensor:
    least, growth = _vp_betas()
    return ((least**2 + 2 * growth * (sigma**2 + 1).log()).sqrt() - least) / growth


def _vp_signal(time: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The share of the signal's variance, and the slope of its logarithm."""
    least, growth = _vp_betas()
    return torch.exp(-0.5 * time**2 * growth - time * least), -time * growth - least


_EVEN = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))


def ipndm(context: SamplingContext, *, max_order: int = 4) -> torch.Tensor:
    x = context.x
    slopes: deque[torch.Tensor] = deque(maxlen=max_order)
    for step in context.steps():
        denoised = context.evaluate(step, x).guided
        if step.is_last:
            x = denoised
            continue
        slopes.appendleft(slope(x, step.sigma, denoised))
        mean = sum(weight * known for weight, known in zip(_EVEN[len(slopes) - 1], slopes, strict=True))
        x = x + mean * (step.next - step.sigma)
    return x


def ipndm_v(context: SamplingContext, *, max_order: int = 4) -> torch.Tensor:
    """Uses the lengths of the last steps as the authors' program does: from the third order on that is not the exact
    Adams integral."""
    x = context.x
    slopes: deque[torch.Tensor] = deque(maxlen=max_order)
    for step in context.steps():
        denoised = context.evaluate(step, x).guided
        if step.is_last:
            x = denoised
            continue
        slopes.appendleft(slope(x, step.sigma, denoised))
        levels = context.sigmas[step.number + 1 - len(slopes) : step.number + 2]
        weights = _ipndm_v_weights([float(length) for length in levels.diff().flip(0)])
        mean = sum(weight * known for weight, known in zip(weights, slopes, strict=True))
        x = x + mean * (step.next - step.sigma)
    return x


def _ipndm_v_weights(lengths: list[float]) -> list[float]:
    """``lengths``: of this step and the previous ones, the latest first; as many as there are slopes."""
    weights = [1.0, 0.0, 0.0, 0.0]
    if len(lengths) >= 2:
        h0, h1 = lengths[:2]
        weights = [1 + h0 / h1 / 2, -h0 / h1 / 2, 0.0, 0.0]
    if len(lengths) >= 3:
        h2 = lengths[2]
        third = (1 - h0 / (3 * (h0 + h1)) * (h0 * (h0 + h1)) / (h1 * (h1 + h2))) / 2
        weights = _plus(weights, third, [1.0, -(1 + h1 / h2), h1 / h2, 0.0])
    if len(lengths) == 4:
        h3 = lengths[3]
        fourth = (1 - h0 / (3 * (h0 + h1))) / 2
        fourth += (1 - h0 / (2 * (h0 + h1))) * h0 / (6 * (h0 + h1 + h2))
        fourth *= h0 * (h0 + h1) * (h0 + h1 + h2) / (h1 * (h1 + h2) * (h1 + h2 + h3))
        ratio = h1 * (h1 + h2) / (h2 * (h2 + h3))
        third_part = [1.0, -(1 + h1 / h2 + ratio), h1 / h2 + ratio * (1 + h2 / h3), -ratio * h1 / h2]
        weights = _plus(weights, fourth, third_part)
    return weights[: len(lengths)]


def _plus(weights: list[float], factor: float, more: list[float]) -> list[float]:
    return [weight + factor * other for weight, other in zip(weights, more, strict=True)]


def dpmpp_2m(context: SamplingContext) -> torch.Tensor:
    x = context.x
    old: torch.Tensor | None = None
    old_length = torch.zeros(())
    sigmas = context.sigmas
    for step in context.steps(sigmas):
        denoised = context.evaluate(step, x).guided
        if step.is_last:
            return denoised
        length = (step.sigma / step.next).log()
        mixed = denoised if old is None else denoised + (denoised - old) * length / (2 * old_length)
        x = step.next / step.sigma * x - torch.expm1(-length) * mixed
        old, old_length = denoised, length
    return x


def dpmpp_2m_cfg_pp(context: SamplingContext) -> torch.Tensor:
    x = context.x
    old: torch.Tensor | None = None
    old_length = torch.zeros(())
    for step in context.steps():
        guided, negative = context.evaluate(step, x, needs_negative=True)
        if step.is_last:
            return guided
        length = (step.sigma / step.next).log()
        kept = torch.exp(-length)
        correction = (
            torch.zeros(()) if old is None else -torch.expm1(-length) * (guided - old) * length / 2 / old_length
        )
        x = guided + kept * (x - negative) + correction
        old, old_length = negative, length
    return x


def res_multistep(context: SamplingContext) -> torch.Tensor:
    return _res(context, eta=0.0, s_noise=1.0, is_cfg_pp=False)


def res_multistep_cfg_pp(context: SamplingContext) -> torch.Tensor:
    return _res(context, eta=0.0, s_noise=1.0, is_cfg_pp=True)


def res_multistep_ancestral(context: SamplingContext, *, eta: float = 1.0, s_noise: float = 1.0) -> torch.Tensor:
    return _res(context, eta=eta, s_noise=s_noise, is_cfg_pp=False)


def res_multistep_ancestral_cfg_pp(context: SamplingContext, *, eta: float = 1.0, s_noise: float = 1.0) -> torch.Tensor:
    return _res(context, eta=eta, s_noise=s_noise, is_cfg_pp=True)


def _res(context: SamplingContext, *, eta: float, s_noise: float, is_cfg_pp: bool) -> torch.Tensor:
    """Second order in two steps, in ``t = -log(sigma)``."""
    x, noise = context.x, context.fresh_noise()
    old: torch.Tensor | None = None
    old_down = torch.zeros(())
    for step in context.steps():
        guided, negative = context.evaluate(step, x, needs_negative=is_cfg_pp)
        if step.is_last:
            return guided
        source = negative if is_cfg_pp else guided
        down, up = ancestral(step.sigma, step.next, eta)  # also for a flow
        if old is None or down == 0:
            x = guided + slope(x, step.sigma, source) * down
        else:
            length = (step.sigma / down).log()
            reach = (old_down / context.sigmas[step.number - 1]).log() / length
            first = -torch.expm1(-length)
            second = (1 - first / length) / reach
            if is_cfg_pp:
                x = x + (guided - negative)
            x = torch.exp(-length) * x + (first - second) * source + second * old
        if eta:
            x = x + noise(step.sigma, step.next) * s_noise * up
        old, old_down = source, down
    return x


def gradient_estimation(context: SamplingContext, *, ge_gamma: float = 2.0) -> torch.Tensor:
    return _gradient_estimation(context, ge_gamma, is_cfg_pp=False)


def gradient_estimation_cfg_pp(context: SamplingContext, *, ge_gamma: float = 2.0) -> torch.Tensor:
    return _gradient_estimation(context, ge_gamma, is_cfg_pp=True)


def _gradient_estimation(context: SamplingContext, gamma: float, *, is_cfg_pp: bool) -> torch.Tensor:
    """Euler's method with the slope extrapolated by ``gamma - 1`` of its last change."""
    x = context.x
    old: torch.Tensor | None = None
    for step in context.steps():
        guided, negative = context.evaluate(step, x, needs_negative=is_cfg_pp)
        if step.is_last:
            return guided
        here = slope(x, step.sigma, negative if is_cfg_pp else guided)
        length = step.next - step.sigma
        x = guided + here * step.next if is_cfg_pp else x + here * length
        if old is not None:
            x = x + (gamma - 1) * (here - old) * length
        old = here
    return x


UNI_PC_END = 0.001
"""The level used instead of 0, whose half log SNR would be infinite."""


def uni_pc(context: SamplingContext, *, variant: str = "bh1") -> torch.Tensor:
    """Predictor and corrector of order 3 in data prediction; the corrector costs no evaluation. The levels of every
    parameterization are treated as ratios of noise to signal, and the latent is kept at unit variance."""
    sigmas = context.sigmas.clone()
    ends_at_zero = bool(sigmas[-1] == 0)
    if ends_at_zero:
        sigmas[-1] = UNI_PC_END
    count = len(sigmas) - 1
    order = max(1, min(3, count - 1))
    times = [_VpTime.at(sigma) for sigma in sigmas]
    x = context.x * times[0].alpha
    known: deque[tuple[torch.Tensor, torch.Tensor]] = deque(maxlen=order)
    steps = list(context.steps(sigmas))
    known.appendleft((times[0].half_log_snr, context.evaluate(steps[0], context.x).guided))
    for step in steps:
        used = min(order, step.number + 1, count - step.number)
        here, following = times[step.number], times[step.number + 1]
        update = _UniPc(list(known)[:used], here, following, variant)
        predicted = update.predicted(x)
        if step.number + 1 == count:
            x = predicted
            break
        there = context.evaluate(steps[step.number + 1], predicted / following.alpha).guided
        x = update.corrected(x, there)
        known.appendleft((following.half_log_snr, there))
    x = x / times[-1].alpha
    # A flow ends at the level used instead of 0, and is converted to a latent from there.
    return x / (1 - sigmas[-1]) if context.is_flow and ends_at_zero else x


def uni_pc_bh2(context: SamplingContext) -> torch.Tensor:
    return uni_pc(context, variant="bh2")


class _VpTime(NamedTuple):
    """The shares of signal and noise in a latent of unit variance at a noise level; computed as in the authors'
    program, whose cancellation at low levels shows in the result."""

    alpha: torch.Tensor
    sigma: torch.Tensor
    half_log_snr: torch.Tensor

    @classmethod
    def at(cls, level: torch.Tensor) -> "_VpTime":
        log_alpha = 0.5 * (1 / (level * level + 1)).log()
        rest = 1.0 - (2.0 * log_alpha).exp()
        return cls(log_alpha.exp(), rest.sqrt(), log_alpha - 0.5 * rest.log())


class _UniPc:
    """One step. ``known``: the last half log SNRs with their predictions, the latest first."""

    def __init__(
        self, known: list[tuple[torch.Tensor, torch.Tensor]], time: _VpTime, following: _VpTime, variant: str
    ) -> None:
        here, self.present = known[0]
        length = following.half_log_snr - here
        self.ratio = following.sigma / time.sigma
        self.alpha = following.alpha
        ratios = [(other - here) / length for other, _ in known[1:]]
        self.differences = [
            (denoised - self.present) / ratio for ratio, (_, denoised) in zip(ratios, known[1:], strict=True)
        ]
        self.first = torch.expm1(-length)
        self.scale = -length if variant == "bh1" else self.first
        nodes = torch.stack([*ratios, torch.ones_like(length)]).double()
        self.matrix = torch.stack([nodes**power for power in range(len(nodes))])
        targets, function, factorial = [], self.first / -length - 1, 1
        for index in range(1, len(nodes) + 1):
            targets.append(function * factorial / self.scale)
            factorial *= index + 1
            function = function / -length - 1 / factorial
        self.targets = torch.stack(targets).double()

    def predicted(self, x: torch.Tensor) -> torch.Tensor:
        if len(self.differences) == 1:
            weights = torch.tensor([0.5])
        else:
            weights = torch.linalg.solve(self.matrix[:-1, :-1], self.targets[:-1])
        return self._moved(x, weights, self.differences)

    def corrected(self, x: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        differences = [*self.differences, there - self.present]
        is_first = len(differences) == 1
        weights = torch.tensor([0.5]) if is_first else torch.linalg.solve(self.matrix, self.targets)
        return self._moved(x, weights, differences)

    def _moved(self, x: torch.Tensor, weights: torch.Tensor, differences: list[torch.Tensor]) -> torch.Tensor:
        moved = self.ratio * x - self.alpha * self.first * self.present
        for weight, difference in zip(weights.tolist(), differences, strict=True):
            moved = moved - self.alpha * self.scale * weight * difference
        return moved
