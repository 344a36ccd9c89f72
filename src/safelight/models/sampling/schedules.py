"""Noise schedules: the schedules of the KSampler, and the range of one that a run uses.

A schedule is float32 ``[steps + 1]``, falling, and ends at 0. If there are more steps than levels in the model, some
schedules are shorter.
"""

import math
from collections.abc import Callable, Mapping
from typing import Literal

import torch

from safelight.models.sampling.levels import Levels

Schedule = Callable[[Levels, int], torch.Tensor]
"""From a model's levels and a number of steps (at least 1)."""


def simple(levels: Levels, steps: int) -> torch.Tensor:
    """Evenly spaced entries of the model's table, starting with the last."""
    stride = len(levels.sigmas) / steps
    return _to_zero(levels.sigmas[[-1 - int(step * stride) for step in range(steps)]])


def sgm_uniform(levels: Levels, steps: int) -> torch.Tensor:
    """Evenly spaced timesteps without the last one, as in Stability's generative models."""
    return _at_timesteps(levels, _timestep_span(levels, steps + 1)[:-1])


def normal(levels: Levels, steps: int) -> torch.Tensor:
    """Evenly spaced timesteps from the highest level to the lowest."""
    last = levels.sigma(_timestep_span(levels, 2)[-1])
    if abs(float(last)) <= 1e-5:  # the lowest level is the end itself
        return _at_timesteps(levels, _timestep_span(levels, steps + 1), then_zero=False)
    return _at_timesteps(levels, _timestep_span(levels, steps))


def ddim_uniform(levels: Levels, steps: int) -> torch.Tensor:
    """Entries of the model's table at an even integer distance, starting with the second (Song et al. 2020)."""
    sigmas = levels.sigmas
    starts_at_zero = abs(float(sigmas[1])) <= 1e-5
    stride = max(len(sigmas) // (steps + 1 if starts_at_zero else steps), 1)
    visited = sigmas[1::stride].flip(0)
    return visited if starts_at_zero else _to_zero(visited)


def beta(levels: Levels, steps: int, *, alpha: float = 0.6, beta: float = 0.6) -> torch.Tensor:
    """Quantiles of a beta distribution over the model's table (Lee et al., "Beta Sampling is All You Need", 2024).
    Quantiles that fall on the same entry become one."""
    from scipy.stats import beta as distribution  # takes half a second to import

    parts = 1 - torch.linspace(0, 1, steps + 1, dtype=torch.float64)[:-1].numpy()
    indices = (distribution.ppf(parts, alpha, beta) * (len(levels.sigmas) - 1)).round()
    return _to_zero(levels.sigmas[list(dict.fromkeys(int(index) for index in indices))])


def karras_of_model(levels: Levels, steps: int) -> torch.Tensor:
    return karras(steps, *_ends(levels))


def exponential_of_model(levels: Levels, steps: int) -> torch.Tensor:
    return exponential(steps, *_ends(levels))


def linear_quadratic(levels: Levels, steps: int, *, threshold: float = 0.025) -> torch.Tensor:
    """The first half of the steps go down linearly by ``threshold``, the rest quadratically to 0 (Movie Gen, 2024)."""
    if steps == 1:
        return torch.tensor([1.0, 0.0]) * float(levels.sigmas[-1])
    even = steps // 2
    rest = steps - even
    bend = even - threshold * steps
    square = bend / (even * rest**2)
    slope = threshold / even - 2 * bend / rest**2
    offset = square * even**2
    gone = [threshold * step / even for step in range(even)]
    gone += [square * step**2 + slope * step + offset for step in range(even, steps)]
    return torch.tensor([1.0 - part for part in [*gone, 1.0]]) * float(levels.sigmas[-1])


def kl_optimal(levels: Levels, steps: int) -> torch.Tensor:
    """Evenly spaced angles, optimal for a Gaussian by the KL divergence of its steps (Sabour et al., "Align Your
    Steps", 2024)."""
    low, high = (torch.atan(torch.tensor(end)) for end in _ends(levels)[::-1])
    parts = torch.arange(steps) / max(steps - 1, 1)
    return _to_zero((parts * low + (1 - parts) * high).tan())


def karras(steps: int, sigma_max: float, sigma_min: float, *, rho: float = 7.0) -> torch.Tensor:
    """Levels whose rho-th roots are evenly spaced (Karras et al. 2022, equation 5)."""
    smallest, largest = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    return _to_zero((largest + torch.linspace(0, 1, steps) * (smallest - largest)) ** rho)


def exponential(steps: int, sigma_max: float, sigma_min: float) -> torch.Tensor:
    """Levels whose logarithms are evenly spaced."""
    return _to_zero(torch.linspace(math.log(sigma_max), math.log(sigma_min), steps).exp())


SCHEDULES: Mapping[str, Schedule] = {
    "simple": simple,
    "sgm_uniform": sgm_uniform,
    "karras": karras_of_model,
    "exponential": exponential_of_model,
    "ddim_uniform": ddim_uniform,
    "beta": beta,
    "normal": normal,
    "linear_quadratic": linear_quadratic,
    "kl_optimal": kl_optimal,
}
"""By the KSampler's names, in its order."""


def schedule(
    levels: Levels,
    name: str,
    steps: int,
    *,
    denoise: float = 1.0,
    skip_last_level: bool = False,
    keep_surplus: bool = False,
) -> torch.Tensor:
    """The schedule ``name``. For a ``denoise`` below 1, the last ``steps`` steps of a longer schedule, of which they
    are that share. ``keep_surplus``: a full schedule with more levels than requested (``ddim_uniform`` can have them)
    is used unchanged, as the KSampler does. Empty for a ``denoise`` of 0. Raises :class:`ValueError` for fewer than one
    step."""
    if steps < 1:
        raise ValueError(f"sampling needs at least 1 step, not {steps}")
    if denoise <= 0.0:
        return torch.zeros(0)
    total = steps if denoise > 0.9999 else int(steps / denoise)
    whole = SCHEDULES[name](levels, total + 1 if skip_last_level else total)
    if skip_last_level:
        whole = torch.cat([whole[:-2], whole[-1:]])
    is_whole = total == steps and denoise > 0.9999
    return whole if keep_surplus and is_whole else whole[-(steps + 1) :]


def step_range(
    sigmas: torch.Tensor,
    *,
    start_step: int = 0,
    end_step: int | None = None,
    remains: Literal["noise", "nothing"] = "noise",
) -> torch.Tensor:
    """The levels from one step to another. If the range ends early and ``remains`` is ``nothing``, its last step goes
    to 0. Empty if it starts at or after the end."""
    if end_step is not None and end_step < len(sigmas) - 1:
        sigmas = sigmas[: end_step + 1].clone()
        if remains == "nothing" and len(sigmas):
            sigmas[-1] = 0.0
    return sigmas[start_step:] if start_step < len(sigmas) - 1 else sigmas[:0]


def _timestep_span(levels: Levels, count: int) -> torch.Tensor:
    first, last = (float(levels.timestep(levels.sigmas[end])) for end in (-1, 0))
    return torch.linspace(first, last, count)


def _at_timesteps(levels: Levels, timesteps: torch.Tensor, *, then_zero: bool = True) -> torch.Tensor:
    sigmas = levels.sigma(timesteps)
    return _to_zero(sigmas) if then_zero else sigmas


def _ends(levels: Levels) -> tuple[float, float]:
    """The highest and the lowest level."""
    return float(levels.sigmas[-1]), float(levels.sigmas[0])


def _to_zero(sigmas: torch.Tensor) -> torch.Tensor:
    return torch.cat([sigmas, sigmas.new_zeros(1)])
