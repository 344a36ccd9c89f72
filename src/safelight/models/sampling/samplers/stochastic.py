"""Solvers of the reverse stochastic equation, in half log SNR (lambda).

DPM-Solver++ (SDE): Lu et al. 2022. ER-SDE: Cui et al. 2023. SEEDS: Gonzalez et al. 2023; with the middle at the end of
the step, an exponential Heun method. SA-Solver: Xue et al. 2023. ``alpha`` is the signal's share: ``x`` is ``alpha``
times the latent plus ``sigma`` times noise.
"""

import math
from collections import deque
from collections.abc import Callable
from typing import Literal

import torch

from safelight.models.sampling.noise import StepNoise
from safelight.models.sampling.samplers.sampling_context import SamplingContext, Step, ancestral, sqrt_lost


def dpmpp_sde(
    context: SamplingContext, *, eta: float = 1.0, s_noise: float = 1.0, r: float = 0.5, on_cpu: bool = True
) -> torch.Tensor:
    sigmas, noise = context.with_finite_snr(), context.brownian_noise(on_cpu=on_cpu)
    x = context.x
    for step in context.steps(sigmas):
        denoised = context.evaluate(step, x).guided
        if step.is_last:
            return denoised
        start, end = context.half_log_snr(step.sigma), context.half_log_snr(step.next)
        middle = start + r * (end - start)
        sigma_middle = context.sigma_of(middle)

        def moved(
            prediction: torch.Tensor, to: torch.Tensor, sigma: torch.Tensor, step: Step = step, x: torch.Tensor = x
        ) -> torch.Tensor:
            here = context.half_log_snr(step.sigma)
            alpha, alpha_to = context.alpha(step.sigma), context.alpha(sigma)
            down, up = ancestral((-here).exp(), (-to).exp(), eta)
            kept = down * here.exp()
            result = alpha_to / alpha * kept * x + alpha_to * (1 - kept) * prediction
            return result + alpha_to * noise(step.sigma, sigma) * s_noise * up if eta and s_noise else result

        there = context.guided(moved(denoised, middle, sigma_middle), sigma_middle)
        x = moved(torch.lerp(denoised, there, 1 / (2 * r)), end, step.next)
    return x


def dpmpp_2m_sde(
    context: SamplingContext,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
    solver_type: Literal["midpoint", "heun"] = "midpoint",
    on_cpu: bool = True,
) -> torch.Tensor:
    sigmas, noise = context.with_finite_snr(), context.brownian_noise(on_cpu=on_cpu)
    x = context.x
    old: torch.Tensor | None = None
    old_length = torch.zeros(())
    for step in context.steps(sigmas):
        denoised = context.evaluate(step, x).guided
        if step.is_last:
            return denoised
        length = context.half_log_snr(step.next) - context.half_log_snr(step.sigma)
        whole = length * (eta + 1)
        alpha, taken = context.alpha(step.next), -torch.expm1(-whole)
        x = step.next / step.sigma * (-length * eta).exp() * x + alpha * taken * denoised
        if old is not None:
            weight = 0.5 * taken if solver_type == "midpoint" else 1 - taken / whole
            x = x + alpha * weight * (length / old_length) * (denoised - old)
        if eta and s_noise:
            x = x + noise(step.sigma, step.next) * step.next * sqrt_lost(2 * length * eta) * s_noise
        old, old_length = denoised, length
    return x


def dpmpp_3m_sde(
    context: SamplingContext, *, eta: float = 1.0, s_noise: float = 1.0, on_cpu: bool = True
) -> torch.Tensor:
    sigmas, noise = context.with_finite_snr(), context.brownian_noise(on_cpu=on_cpu)
    x = context.x
    known: deque[tuple[torch.Tensor, torch.Tensor]] = deque(maxlen=2)
    """The last predictions, each with the length of the step after it; the latest first."""
    for step in context.steps(sigmas):
        denoised = context.evaluate(step, x).guided
        if step.is_last:
            return denoised
        length = context.half_log_snr(step.next) - context.half_log_snr(step.sigma)
        whole = length * (eta + 1)
        alpha, taken = context.alpha(step.next), -torch.expm1(-whole)
        x = step.next / step.sigma * (-length * eta).exp() * x + alpha * taken * denoised
        phi_2 = 1 - taken / whole
        if len(known) == 2:
            (one, one_length), (two, two_length) = known
            r0, r1 = one_length / length, two_length / length
            d0, d1 = (denoised - one) / r0, (one - two) / r1
            second = (d0 - d1) / (r0 + r1)
            x = x + alpha * phi_2 * (d0 + second * r0) - alpha * (phi_2 / whole - 0.5) * second
        elif known:
            one, one_length = known[0]
            x = x + alpha * phi_2 * (denoised - one) * (length / one_length)
        if eta and s_noise:
            x = x + noise(step.sigma, step.next) * step.next * sqrt_lost(2 * length * eta) * s_noise
        known.appendleft((denoised, length))
    return x


_ER_POINTS = 200


def er_scale(level: torch.Tensor) -> torch.Tensor:
    """The authors' choice of how fast noise is replaced (ER-SDE, section 4.1)."""
    return level * ((level**0.3).exp() + 10.0)


def er_sde(
    context: SamplingContext,
    *,
    s_noise: float = 1.0,
    max_stage: int = 3,
    noise_scaler: Callable[[torch.Tensor], torch.Tensor] = er_scale,
) -> torch.Tensor:
    sigmas, noise = context.with_finite_snr(), context.fresh_noise()
    levels = (-context.half_log_snr(sigmas)).exp()
    x = context.x
    old: torch.Tensor | None = None
    old_first: torch.Tensor | None = None
    for step in context.steps(sigmas):
        denoised = context.evaluate(step, x).guided
        if step.is_last:
            return denoised
        here, there = levels[step.number], levels[step.number + 1]
        alpha, alpha_next = context.alpha(step.sigma), context.alpha(step.next)
        ratio = noise_scaler(there) / noise_scaler(here)
        x = alpha_next / alpha * ratio * x + alpha_next * (1 - ratio) * denoised
        stage = min(max_stage, step.number + 1)
        if stage >= 2 and old is not None:
            length = there - here
            width = -length / _ER_POINTS
            points = there + torch.arange(_ER_POINTS, dtype=there.dtype, device=there.device) * width
            scaled = noise_scaler(points)
            first = (denoised - old) / (here - levels[step.number - 1])
            x = x + alpha_next * (length + (1 / scaled).sum() * width * noise_scaler(there)) * first
            if stage >= 3 and old_first is not None:
                second = (first - old_first) / ((here - levels[step.number - 2]) / 2)
                moment = ((points - here) / scaled).sum() * width
                x = x + alpha_next * (length**2 / 2 + moment * noise_scaler(there)) * second
            old_first = first
        if s_noise:
            added = (there**2 - here**2 * ratio**2).sqrt().nan_to_num(0.0)
            x = x + alpha_next * noise(step.sigma, step.next) * s_noise * added
        old = denoised
    return x


def seeds_2(
    context: SamplingContext,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
    r: float = 0.5,
    solver_type: Literal["phi_1", "phi_2"] = "phi_1",
) -> torch.Tensor:
    sigmas, noise = context.with_finite_snr(), context.fresh_noise()
    x = context.x
    for step in context.steps(sigmas):
        denoised = context.evaluate(step, x).guided
        if step.is_last:
            return denoised
        start, end = context.half_log_snr(step.sigma), context.half_log_snr(step.next)
        length = end - start
        whole = length * (eta + 1)
        stages = _Stages(context, x, step, length, eta, s_noise, noise)
        there = stages.at(r, denoised * _taken(r * whole))
        second = context.guided(there, stages.sigma(r))
        if solver_type == "phi_1":
            mixed = torch.lerp(denoised, second, 1 / (2 * r)) * _taken(whole)
        else:
            weight = (1 - _taken(whole) / whole) / r
            mixed = denoised * (_taken(whole) - weight) + second * weight
        x = stages.at(1.0, mixed)
    return x


def exp_heun_2_x0(context: SamplingContext) -> torch.Tensor:
    return seeds_2(context, eta=0.0, s_noise=0.0, r=1.0, solver_type="phi_2")


def exp_heun_2_x0_sde(context: SamplingContext, *, eta: float = 1.0, s_noise: float = 1.0) -> torch.Tensor:
    return seeds_2(context, eta=eta, s_noise=s_noise, r=1.0, solver_type="phi_2")


def seeds_3(
    context: SamplingContext, *, eta: float = 1.0, s_noise: float = 1.0, r_1: float = 1 / 3, r_2: float = 2 / 3
) -> torch.Tensor:
    sigmas, noise = context.with_finite_snr(), context.fresh_noise()
    x = context.x
    for step in context.steps(sigmas):
        denoised = context.evaluate(step, x).guided
        if step.is_last:
            return denoised
        length = context.half_log_snr(step.next) - context.half_log_snr(step.sigma)
        whole = length * (eta + 1)
        stages = _Stages(context, x, step, length, eta, s_noise, noise)
        second = context.guided(stages.at(r_1, denoised * _taken(r_1 * whole)), stages.sigma(r_1))
        taken = _taken(r_2 * whole)
        weight = r_2 / r_1 * (1 - taken / (r_2 * whole))
        third = context.guided(stages.at(r_2, denoised * (taken - weight) + second * weight), stages.sigma(r_2))
        weight = (1 - _taken(whole) / whole) / r_2
        x = stages.at(1.0, denoised * (_taken(whole) - weight) + third * weight)
    return x


def _taken(length: torch.Tensor) -> torch.Tensor:
    return -torch.expm1(-length)


class _Stages:
    """Points inside one step. Noise grows from one to the next, so that they lie on one path."""

    def __init__(
        self,
        context: SamplingContext,
        x: torch.Tensor,
        step: Step,
        length: torch.Tensor,
        eta: float,
        s_noise: float,
        noise: StepNoise,
    ) -> None:
        self.context, self.x, self.step, self.length = context, x, step, length
        self.eta, self.s_noise, self.noise = eta, s_noise, noise
        self._reached = 0.0
        self._noise = torch.zeros_like(x)

    def sigma(self, part: float) -> torch.Tensor:
        if part == 1.0:
            return self.step.next
        return self.context.sigma_of(self.context.half_log_snr(self.step.sigma) + part * self.length)

    def at(self, part: float, prediction: torch.Tensor) -> torch.Tensor:
        """``prediction`` is already weighted."""
        sigma = self.sigma(part)
        kept = sigma / self.step.sigma * (-part * self.length * self.eta).exp()
        moved = kept * self.x + self.context.alpha(sigma) * prediction
        if not (self.eta and self.s_noise):
            return moved
        # Noise is drawn at each stage, even if it has no weight, because later draws depend on the order.
        passed = (part - self._reached) * self.length * self.eta
        fresh = self.noise(self.sigma(self._reached) if self._reached else self.step.sigma, sigma)
        self._noise = self._noise * (-passed).exp() + sqrt_lost(2 * passed) * fresh
        self._reached = part
        return moved + self._noise * sigma * self.s_noise


def sa_solver(
    context: SamplingContext,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
    predictor_order: int = 3,
    corrector_order: int = 4,
    use_pece: bool = False,
    simple_order_2: bool = False,
    stochastic_from: float = 0.2,
    stochastic_to: float = 0.8,
) -> torch.Tensor:
    """Adams' method for the stochastic equation. Noise is added between two points of sampling, from 0 to 1.
    ``use_pece``: evaluate after the corrector as well. ``simple_order_2``: weight two predictions as for short
    steps."""
    sigmas, noise = context.with_finite_snr(), context.fresh_noise()
    lambdas = context.half_log_snr(sigmas)
    levels = context.parameterization.levels
    first, last = levels.sigma_at(stochastic_from), levels.sigma_at(stochastic_to)
    ends_at_zero = bool(sigmas[-1] == 0)
    predicted = x = context.x
    added = torch.zeros_like(x)
    tau = 0.0
    known: deque[torch.Tensor] = deque(maxlen=max(predictor_order, corrector_order))
    for step in context.steps(sigmas):
        index = step.number
        denoised = context.evaluate(step, predicted).guided
        known.append(denoised)
        corrects = index > 0 and (use_pece or not step.is_last)
        used = min(corrector_order, len(known)) if corrects else 0
        if ends_at_zero:
            used = min(used, len(sigmas) - 1 - index)
        if used == 0:
            x = predicted
        else:
            nodes = lambdas[index - used + 1 : index + 1]
            ends = (lambdas[index - 1], lambdas[index])
            change = _adams_change(context, step.sigma, nodes, ends, tau, list(known)[-used:], simple=simple_order_2)
            length = lambdas[index] - lambdas[index - 1]
            x = step.sigma / sigmas[index - 1] * (-(tau**2) * length).exp() * x + change
            if tau and s_noise:
                x = x + added
            if use_pece:
                denoised = context.guided(x, step.sigma)
                known[-1] = denoised
        if step.is_last:
            return denoised
        tau = eta if last <= float(step.next) <= first else 0.0
        used = min(predictor_order, len(known))
        if ends_at_zero:
            used = min(used, len(sigmas) - 2 - index)
        used = max(used, 1)
        nodes = lambdas[index - used + 1 : index + 1]
        ends = (lambdas[index], lambdas[index + 1])
        change = _adams_change(context, step.next, nodes, ends, tau, list(known)[-used:], simple=simple_order_2)
        length = lambdas[index + 1] - lambdas[index]
        predicted = step.next / step.sigma * (-(tau**2) * length).exp() * x + change
        if tau and s_noise:
            added = noise(step.sigma, step.next) * step.next * sqrt_lost(2 * tau**2 * length) * s_noise
            predicted = predicted + added
    return predicted


def sa_solver_pece(context: SamplingContext, *, eta: float = 1.0, s_noise: float = 1.0) -> torch.Tensor:
    return sa_solver(context, eta=eta, s_noise=s_noise, use_pece=True)


def _adams_change(
    context: SamplingContext,
    sigma: torch.Tensor,
    nodes: torch.Tensor,
    ends: tuple[torch.Tensor, torch.Tensor],
    tau: float,
    predictions: list[torch.Tensor],
    *,
    simple: bool,
) -> torch.Tensor:
    """``alpha`` times the integral of ``(1 + tau^2) exp(-(1 + tau^2) (end - lambda))`` times the polynomial through the
    predictions at ``nodes``, over the step between ``ends``."""
    rate = 1 + tau**2
    start, end = ends
    length = float(end - start) * rate
    # Moments of ((lambda - end) * rate)^n, by parts.
    moments = []
    for power in range(len(nodes)):
        edge = -((-length) ** power) * math.exp(-length)
        if power == 0:
            moments.append(1 + edge)
        else:
            moments.append(edge - power * moments[-1])
    positions = (nodes.double().cpu() - float(end)) * rate
    vandermonde = torch.stack([positions**power for power in range(len(nodes))])
    weights = torch.linalg.solve(vandermonde, torch.tensor(moments, dtype=torch.float64))
    if simple and len(nodes) == 2:
        weights = _simple_weights(nodes, float(start), float(end), rate)
    change = sum(weight * prediction for weight, prediction in zip(weights.tolist(), predictions, strict=True))
    return context.alpha(sigma) * torch.as_tensor(change)


def _simple_weights(nodes: torch.Tensor, start: float, end: float, rate: float) -> torch.Tensor:
    """The slope's share to second order in the step's length."""
    length = end - start
    older, younger = nodes.double().tolist()
    whole = 1 - math.exp(-length * rate)
    if younger > start:  # the corrector knows the prediction at the end
        second = 0.5 * rate * length
        return torch.tensor([whole - second, second])
    first = 0.5 * rate * length**2 / (older - start)
    return torch.tensor([first, whole - first])
