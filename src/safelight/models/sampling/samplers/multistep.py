"""Samplers that extrapolate from the steps before.

LMS and iPNDM: Adams-Bashforth's method, with the real distances or as if they were even (Zhang and Chen 2023). DEIS:
the same with polynomials in the time of a variance-preserving diffusion (ibid.). DPM-Solver++ 2M: Lu et al. 2022. RES:
Zhang et al., "Improved Order Analysis and Design of Exponential Integrator for Diffusion Models Sampling", 2023.
Gradient estimation: Permenter and Yuan 2024. UniPC: Zhao et al. 2023.
"""

import math
from collections import deque
from collections.abc import Callable

import torch

from safelight.models.sampling.samplers.run import Run, slope

Time = Callable[[torch.Tensor], torch.Tensor]
"""From levels to the variable in which slopes are interpolated."""

_POINTS = 64


def lms(run: Run, *, order: int = 4) -> torch.Tensor:
    return _adams(run, order, lambda sigma: sigma)


def ipndm_v(run: Run, *, max_order: int = 4) -> torch.Tensor:
    return _adams(run, max_order, lambda sigma: sigma)


def deis(run: Run, *, max_order: int = 3) -> torch.Tensor:
    return _adams(run, max_order, _vp_time)


def _adams(run: Run, order: int, time: Time) -> torch.Tensor:
    """The integral of the polynomial through the last slopes, over the step."""
    x = run.x
    slopes: deque[torch.Tensor] = deque(maxlen=order)
    for step in run.steps():
        denoised = run.at(step, x).guided
        if step.is_last:
            x = denoised
            continue
        slopes.appendleft(slope(x, step.sigma, denoised))
        known = run.sigmas[step.number + 1 - len(slopes) : step.number + 1].flip(0)
        weights = _integrals(known, step.sigma, step.next, time)
        x = x + sum(weight * known_slope for weight, known_slope in zip(weights, slopes, strict=True))
    return x


def _integrals(known: torch.Tensor, start: torch.Tensor, end: torch.Tensor, time: Time) -> list[float]:
    """Of the Lagrange polynomials through ``known`` (in ``time``), over sigma from ``start`` to ``end``."""
    points, weights = _gauss_legendre()
    middle, half = (float(start) + float(end)) / 2, (float(end) - float(start)) / 2
    at = time(middle + half * points)
    nodes = time(known.double().cpu())
    integrals = []
    for index, node in enumerate(nodes):
        others = torch.cat((nodes[:index], nodes[index + 1 :]))
        polynomial = torch.ones_like(at)
        for other in others:
            polynomial = polynomial * (at - other) / (node - other)
        integrals.append(float((polynomial * weights).sum()) * half)
    return integrals


def _gauss_legendre() -> tuple[torch.Tensor, torch.Tensor]:
    import numpy as np

    points, weights = np.polynomial.legendre.leggauss(_POINTS)
    return torch.from_numpy(points), torch.from_numpy(weights)


def _vp_time(
    sigma: torch.Tensor, *, first: float = 1e-3, sigma_min: float = 0.002, sigma_max: float = 80.0
) -> torch.Tensor:
    """Of the diffusion that has ``sigma_min`` at ``first`` and ``sigma_max`` at 1 (Karras et al. 2022, table 1)."""
    low, high = math.log(sigma_min**2 + 1), math.log(sigma_max**2 + 1)
    spread = 2 * (low / first - high) / (first - 1)
    least = high - spread / 2
    return ((least**2 + 2 * spread * (sigma**2 + 1).log()).sqrt() - least) / spread


_EVEN = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))


def ipndm(run: Run, *, max_order: int = 4) -> torch.Tensor:
    x = run.x
    slopes: deque[torch.Tensor] = deque(maxlen=max_order)
    for step in run.steps():
        denoised = run.at(step, x).guided
        if step.is_last:
            x = denoised
            continue
        slopes.appendleft(slope(x, step.sigma, denoised))
        mean = sum(weight * known for weight, known in zip(_EVEN[len(slopes) - 1], slopes, strict=True))
        x = x + mean * (step.next - step.sigma)
    return x


def dpmpp_2m(run: Run) -> torch.Tensor:
    x = run.x
    old: torch.Tensor | None = None
    old_length = torch.zeros(())
    sigmas = run.sigmas
    for step in run.steps(sigmas):
        denoised = run.at(step, x).guided
        if step.is_last:
            return denoised
        length = (step.sigma / step.next).log()
        mixed = denoised if old is None else denoised + (denoised - old) * length / (2 * old_length)
        x = step.next / step.sigma * x - torch.expm1(-length) * mixed
        old, old_length = denoised, length
    return x


def dpmpp_2m_cfg_pp(run: Run) -> torch.Tensor:
    x = run.x
    old: torch.Tensor | None = None
    old_length = torch.zeros(())
    for step in run.steps():
        guided, negative = run.at(step, x, needs_negative=True)
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


def res_multistep(run: Run) -> torch.Tensor:
    return _res(run, eta=0.0, s_noise=1.0, is_cfg_pp=False)


def res_multistep_cfg_pp(run: Run) -> torch.Tensor:
    return _res(run, eta=0.0, s_noise=1.0, is_cfg_pp=True)


def res_multistep_ancestral(run: Run, *, eta: float = 1.0, s_noise: float = 1.0) -> torch.Tensor:
    return _res(run, eta=eta, s_noise=s_noise, is_cfg_pp=False)


def res_multistep_ancestral_cfg_pp(run: Run, *, eta: float = 1.0, s_noise: float = 1.0) -> torch.Tensor:
    return _res(run, eta=eta, s_noise=s_noise, is_cfg_pp=True)


def _res(run: Run, *, eta: float, s_noise: float, is_cfg_pp: bool) -> torch.Tensor:
    """The second order in two steps, in ``t = -log(sigma)``."""
    x, noise = run.x, run.fresh_noise()
    old: torch.Tensor | None = None
    old_down = torch.zeros(())
    for step in run.steps():
        guided, negative = run.at(step, x, needs_negative=is_cfg_pp)
        if step.is_last:
            return guided
        source = negative if is_cfg_pp else guided
        down, shrink, up = run.ancestral(step, eta)
        if old is None or down == 0:
            x = guided + slope(x, step.sigma, source) * down
        else:
            length = (step.sigma / down).log()
            reach = (old_down / run.sigmas[step.number - 1]).log() / length
            first = -torch.expm1(-length)
            second = (1 - first / length) / reach
            if is_cfg_pp:
                x = x + (guided - negative)
            x = torch.exp(-length) * x + (first - second) * source + second * old
        if eta:
            x = x * shrink + noise(step.sigma, step.next) * s_noise * up
        old, old_down = source, down
    return x


def gradient_estimation(run: Run, *, ge_gamma: float = 2.0) -> torch.Tensor:
    return _gradient_estimation(run, ge_gamma, is_cfg_pp=False)


def gradient_estimation_cfg_pp(run: Run, *, ge_gamma: float = 2.0) -> torch.Tensor:
    return _gradient_estimation(run, ge_gamma, is_cfg_pp=True)


def _gradient_estimation(run: Run, gamma: float, *, is_cfg_pp: bool) -> torch.Tensor:
    """Euler's method with the slope extrapolated by ``gamma - 1`` of its last change."""
    x = run.x
    old: torch.Tensor | None = None
    for step in run.steps():
        guided, negative = run.at(step, x, needs_negative=is_cfg_pp)
        if step.is_last:
            return guided
        here = slope(x, step.sigma, negative if is_cfg_pp else guided)
        length = step.next - step.sigma
        x = guided + here * step.next if is_cfg_pp else x + here * length
        if old is not None:
            x = x + (gamma - 1) * (here - old) * length
        old = here
    return x


def uni_pc(run: Run, *, variant: str = "bh1") -> torch.Tensor:
    """Predictor and corrector of order 3 in data prediction; the corrector costs no evaluation."""
    sigmas = run.with_finite_snr().clone()
    if sigmas[-1] == 0:
        sigmas[-1] = min(0.001, float(sigmas[-2]) / 2)
    count = len(sigmas) - 1
    order = max(1, min(3, count - 1))
    half_log_snrs = run.half_log_snr(sigmas)
    x = run.x
    known: deque[tuple[torch.Tensor, torch.Tensor]] = deque(maxlen=order)
    steps = list(run.steps(sigmas))
    known.appendleft((half_log_snrs[0], run.at(steps[0], x).guided))
    for step in steps:
        used = min(order, step.number + 1, count - step.number)
        update = _UniPc(run, list(known)[:used], half_log_snrs[step.number + 1], step.sigma, step.next, variant)
        predicted = update.predicted(x)
        if step.number + 1 == count:
            x = predicted
            break
        there = run.at(steps[step.number + 1], predicted).guided
        x = update.corrected(x, there)
        known.appendleft((half_log_snrs[step.number + 1], there))
    return x / run.alpha(sigmas[-1])


def uni_pc_bh2(run: Run) -> torch.Tensor:
    return uni_pc(run, variant="bh2")


class _UniPc:
    """One step. ``known``: the last half log SNRs with their predictions, the youngest first."""

    def __init__(
        self,
        run: Run,
        known: list[tuple[torch.Tensor, torch.Tensor]],
        following: torch.Tensor,
        sigma: torch.Tensor,
        sigma_next: torch.Tensor,
        variant: str,
    ) -> None:
        here, self.present = known[0]
        length = following - here
        self.ratio = sigma_next / sigma
        self.alpha = run.alpha(sigma_next)
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
