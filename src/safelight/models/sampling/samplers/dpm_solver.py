"""DPM-Solver in noise prediction (Lu et al. 2022), with fixed and with adaptive steps of ``t = -log(sigma)``;
DPM-Solver++ 2S with ancestral steps."""

import math
from dataclasses import dataclass

import torch

from safelight.models.sampling.samplers.sampling_context import SamplingContext, Step, ancestral, slope

FIRST_MIDDLE, SECOND_MIDDLE = 1 / 3, 2 / 3


def dpm_fast(context: SamplingContext) -> torch.Tensor:
    """As many evaluations as steps, in third-order steps and lower orders for the rest. Ends at the lowest level above
    0."""
    low = context.sigmas[-1] if context.sigmas[-1] > 0 else context.sigmas[-2]
    evaluations = len(context.sigmas) - 1
    orders = (
        [3] * (evaluations // 3 - 1) + [2, 1] if evaluations % 3 == 0 else [3] * (evaluations // 3) + [evaluations % 3]
    )
    times = torch.linspace(float(-context.sigmas[0].log()), float(-low.log()), len(orders) + 1)
    x, done = context.x, 0
    for order, start, end in zip(orders, times[:-1], times[1:], strict=True):
        solver = _Solver(context, x, start, end, index=done)
        x = solver.step(order)
        done += order
    return x


def dpm_adaptive(
    context: SamplingContext,
    *,
    order: int = 3,
    rtol: float = 0.05,
    atol: float = 0.0078,
    h_init: float = 0.05,
    pcoeff: float = 0.0,
    icoeff: float = 1.0,
    dcoeff: float = 0.0,
    accept_safety: float = 0.81,
    eta: float = 0.0,
    s_noise: float = 1.0,
) -> torch.Tensor:
    """Steps as long as the difference between two orders allows, with a PID controller (Söderlind 2003)."""
    if order not in (2, 3):
        raise ValueError(f"invalid order {order} for dpm_adaptive: choose 2 or 3")
    low = context.sigmas[-1] if context.sigmas[-1] > 0 else context.sigmas[-2]
    start, end = -context.sigmas[0].log(), -low.log()
    x, noise = context.x, context.fresh_noise()
    previous = x
    controller = _Controller(h_init, pcoeff, icoeff, dcoeff, 1.5 if eta else order, accept_safety)
    index = 0
    while start < end - 1e-5:
        following = torch.minimum(end, start + controller.length)
        up = torch.zeros(())
        target = following
        if eta:
            down, up = ancestral((-start).exp(), (-following).exp(), eta)
            target = torch.minimum(end, -down.log())
            up = ((-following).exp() ** 2 - (-target).exp() ** 2).clamp_min(0).sqrt()
        solver = _Solver(context, x, start, target, index=index)
        low_order, high_order = solver.step(order - 1, middle=FIRST_MIDDLE), solver.step(order)
        tolerance = (rtol * torch.maximum(low_order.abs(), previous.abs())).clamp_min(atol)
        error = float(torch.linalg.vector_norm((low_order - high_order) / tolerance) / x.numel() ** 0.5)
        if controller.accepts(error):
            previous = low_order
            x = high_order + up * s_noise * noise((-start).exp(), (-following).exp()) if eta else high_order
            start, index = following, index + 1
    return x


class _Controller:
    """Control the step length by the errors of this step and of the last two accepted ones. ``order``: of the solver;
    if noise is added, the strong order 1.5 of the stochastic solver."""

    def __init__(
        self, length: float, pcoeff: float, icoeff: float, dcoeff: float, order: float, accept_safety: float
    ) -> None:
        self.length = length
        self._powers = ((pcoeff + icoeff + dcoeff) / order, -(pcoeff + 2 * dcoeff) / order, dcoeff / order)
        self._accept_safety = accept_safety
        self._before: tuple[float, float] | None = None

    def accepts(self, error: float) -> bool:
        inverse = 1 / (1e-8 + error)
        one, two = self._before or (inverse, inverse)
        first, second, third = self._powers
        factor = 1 + math.atan(inverse**first * one**second * two**third - 1)
        accepted = factor >= self._accept_safety
        self._before = (inverse, one) if accepted else (one, two)
        self.length *= factor
        return accepted


@dataclass(eq=False)
class _Solver:
    """One step from ``start`` to ``end``. Evaluations are reused between orders."""

    context: SamplingContext
    x: torch.Tensor
    start: torch.Tensor
    end: torch.Tensor
    index: int

    def __post_init__(self) -> None:
        self._noises: dict[str, torch.Tensor] = {}

    def step(self, order: int, *, middle: float = 0.5) -> torch.Tensor:
        length = self.end - self.start
        here = self._noise("start", self.start, self.x)
        sigma = (-self.end).exp()
        moved = self.x - sigma * torch.expm1(length) * here
        if order == 1:
            return moved
        if order == 2:
            change = self._first(here, middle) - here
            return moved - sigma / (2 * middle) * torch.expm1(length) * change
        change = self._second(here) - here
        return moved - sigma / SECOND_MIDDLE * (torch.expm1(length) / length - 1) * change

    def _first(self, here: torch.Tensor, part: float) -> torch.Tensor:
        length = self.end - self.start
        time = self.start + part * length
        there = self.x - (-time).exp() * torch.expm1(part * length) * here
        return self._noise(f"middle {part}", time, there)

    def _second(self, here: torch.Tensor) -> torch.Tensor:
        length, part = self.end - self.start, SECOND_MIDDLE
        time = self.start + part * length
        change = self._first(here, FIRST_MIDDLE) - here
        sigma = (-time).exp()
        there = self.x - sigma * torch.expm1(part * length) * here
        there = there - sigma * (part / FIRST_MIDDLE) * (torch.expm1(part * length) / (part * length) - 1) * change
        return self._noise("second", time, there)

    def _noise(self, name: str, time: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """The noise predicted at a time."""
        if name not in self._noises:
            sigma = (-time).exp().to(self.x)
            if name == "start":
                denoised = self.context.evaluate(Step(self.index, sigma, (-self.end).exp()), x).guided
            else:
                denoised = self.context.guided(x, sigma)
            self._noises[name] = slope(x, sigma, denoised)
        return self._noises[name]


def dpmpp_2s_ancestral(context: SamplingContext, *, eta: float = 1.0, s_noise: float = 1.0) -> torch.Tensor:
    x, noise = context.x, context.fresh_noise()
    for step in context.steps():
        guided = context.evaluate(step, x).guided
        if step.is_last:
            return guided
        down, shrink, up = context.ancestral(step, eta)
        if down == 0:
            x = guided
        else:
            middle = context.middle(step.sigma, down)
            there = torch.lerp(guided, x, middle / step.sigma)
            x = torch.lerp(context.guided(there, middle), x, down / step.sigma)
        x = x * shrink + noise(step.sigma, step.next) * s_noise * up
    return x


def dpmpp_2s_ancestral_cfg_pp(context: SamplingContext, *, eta: float = 1.0, s_noise: float = 1.0) -> torch.Tensor:
    """Guidance moves ``x`` before each stage, by the negative prediction of the latest evaluation. The levels of every
    parameterization are treated as ratios of noise to signal."""
    x, noise = context.x, context.fresh_noise()
    for step in context.steps():
        guided, negative = context.evaluate(step, x, needs_negative=True)
        if step.is_last:
            return guided
        down, up = ancestral(step.sigma, step.next, eta)
        if down == 0:
            x = guided
        else:
            middle = (step.sigma * down).sqrt()
            there = torch.lerp(guided, x + (guided - negative), middle / step.sigma)
            second, negative = context.denoise(there, middle, needs_negative=True)
            x = torch.lerp(second, x + (guided - negative), down / step.sigma)
        x = x + noise(step.sigma, step.next) * s_noise * up
    return x
