"""Samplers that use only the current step.

Euler, Heun and DPM-2: Karras et al. 2022. Ancestral steps: Song et al. 2021, as in DDIM with eta 1. CFG++: Chung et al.
2024. Heun's method with decaying weights (``heunpp2``) weights its slopes by their levels.
"""

import torch

from safelight.models.sampling.samplers.sampling_context import SamplingContext, ancestral, slope


def euler(context: SamplingContext) -> torch.Tensor:
    x = context.x
    for step in context.steps():
        denoised = context.evaluate(step, x).guided
        x = denoised if step.is_last else x + slope(x, step.sigma, denoised) * (step.next - step.sigma)
    return x


def euler_ancestral(context: SamplingContext, *, eta: float = 1.0, s_noise: float = 1.0) -> torch.Tensor:
    x, noise = context.x, context.fresh_noise()
    for step in context.steps():
        denoised = context.evaluate(step, x).guided
        if step.is_last:
            return denoised
        down, shrink, up = context.ancestral(step, eta)
        x = torch.lerp(denoised, x, down / step.sigma)
        x = x * shrink + noise(step.sigma, step.next) * s_noise * up
    return x


def euler_ancestral_cfg_pp(context: SamplingContext, *, eta: float = 1.0, s_noise: float = 1.0) -> torch.Tensor:
    """Keeps the noise of the negative prediction."""
    x, noise = context.x, context.fresh_noise()
    for step in context.steps():
        denoised = context.evaluate(step, x, needs_negative=True)
        if step.is_last:
            x = denoised.guided
            continue
        # From a flow's pure noise, whose ratio of noise to signal is infinite, all of the noise is fresh.
        alpha, alpha_next = context.alpha(step.sigma), context.alpha(step.next)
        direction = slope(x, step.sigma, alpha * denoised.negative)
        down, up = ancestral(step.sigma / alpha, step.next / alpha_next, eta)
        x = alpha_next * (denoised.guided + down * direction)
        if eta:
            x = x + alpha_next * noise(step.sigma, step.next) * s_noise * up
    return x


def euler_cfg_pp(context: SamplingContext) -> torch.Tensor:
    return euler_ancestral_cfg_pp(context, eta=0.0)


def heun(context: SamplingContext) -> torch.Tensor:
    x = context.x
    for step in context.steps():
        denoised = context.evaluate(step, x).guided
        if step.is_last:
            x = denoised
            continue
        first, length = slope(x, step.sigma, denoised), step.next - step.sigma
        ahead = x + first * length
        second = slope(ahead, step.next, context.guided(ahead, step.next))
        x = x + (first + second) / 2 * length
    return x


def heunpp2(context: SamplingContext) -> torch.Tensor:
    """One, two or three slopes, limited by the levels left above 0; each slope after the first is weighted by its level
    relative to the highest one."""
    x, sigmas = context.x, context.sigmas
    for step in context.steps():
        denoised = context.evaluate(step, x).guided
        if step.is_last or step.number + 1 == len(sigmas) - 1:
            x = x + slope(x, step.sigma, denoised) * (step.next - step.sigma)
            continue
        slopes = [slope(x, step.sigma, denoised)]
        ahead = x
        count = 1 if step.number + 2 == len(sigmas) - 1 else 2
        for offset in range(1, count + 1):
            here, there = sigmas[step.number + offset - 1], sigmas[step.number + offset]
            ahead = ahead + slopes[-1] * (there - here)
            slopes.append(slope(ahead, there, context.guided(ahead, there)))
        weights = [sigmas[step.number + offset] / ((count + 1) * sigmas[0]) for offset in range(1, count + 1)]
        mean = slopes[0] * (1 - sum(weights)) + sum(w * s for w, s in zip(weights, slopes[1:], strict=True))
        x = x + mean * (step.next - step.sigma)
    return x


def dpm_2(context: SamplingContext) -> torch.Tensor:
    """Step by the slope at the (geometric) middle."""
    x = context.x
    for step in context.steps():
        denoised = context.evaluate(step, x).guided
        x = denoised if step.is_last else _by_middle(context, x, step.sigma, step.next, denoised)
    return x


def dpm_2_ancestral(context: SamplingContext, *, eta: float = 1.0, s_noise: float = 1.0) -> torch.Tensor:
    x, noise = context.x, context.fresh_noise()
    for step in context.steps():
        denoised = context.evaluate(step, x).guided
        if step.is_last:
            return denoised
        down, shrink, up = context.ancestral(step, eta)
        x = denoised if down == 0 else _by_middle(context, x, step.sigma, down, denoised)
        x = x * shrink + noise(step.sigma, step.next) * s_noise * up
    return x


def _by_middle(
    context: SamplingContext, x: torch.Tensor, sigma: torch.Tensor, following: torch.Tensor, denoised: torch.Tensor
) -> torch.Tensor:
    middle = (sigma * following).sqrt()
    there = x + slope(x, sigma, denoised) * (middle - sigma)
    return x + slope(there, middle, context.guided(there, middle)) * (following - sigma)


def ddpm(context: SamplingContext) -> torch.Tensor:
    """The posterior of one step of the variance-preserving diffusion (Ho et al. 2020, equations 6 and 7). The levels of
    every parameterization are treated as ratios of noise to signal."""
    x, noise = context.x, context.fresh_noise()
    for step in context.steps():
        denoised = context.evaluate(step, x).guided
        if step.is_last:
            x = denoised
            continue
        kept, kept_next = 1 / (step.sigma**2 + 1), 1 / (step.next**2 + 1)
        alpha = kept / kept_next
        scaled = x / (1 + step.sigma**2).sqrt()
        mean = (scaled - (1 - alpha) * slope(x, step.sigma, denoised) / (1 - kept).sqrt()) / alpha.sqrt()
        deviation = ((1 - alpha) * (1 - kept_next) / (1 - kept)).sqrt()
        x = (mean + deviation * noise(step.sigma, step.next)) * (1 + step.next**2).sqrt()
    return x


def lcm(context: SamplingContext, *, s_noise: float = 1.0) -> torch.Tensor:
    """Denoise completely at each step, then add noise up to the next level (Luo et al. 2023, algorithm 3)."""
    x, noise = context.x, context.fresh_noise()
    for step in context.steps():
        x = context.evaluate(step, x).guided
        if not step.is_last:
            added = noise(step.sigma, step.next) * s_noise
            x = context.parameterization.prediction.noised(x, added, step.next)
    return x


def euler_cfg_pp_alternative(context: SamplingContext) -> torch.Tensor:
    """Step along the slope between the guided prediction and ``x`` shifted by the guidance."""
    x = context.x
    for step in context.steps():
        guided, negative = context.evaluate(step, x, needs_negative=True)
        x = x + slope(x - guided + negative, step.sigma, guided) * (step.next - step.sigma)
    return x
