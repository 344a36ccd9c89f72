"""Samplers on a normal distribution, whose denoiser is known. Its probability flow has an exact solution, and the
samples of stochastic samplers have its variance."""

import math
from collections.abc import Callable

import pytest
import torch

from safelight.models.sampling.levels import DiscreteLevels, FlowLevels
from safelight.models.sampling.noise import StepNoise
from safelight.models.sampling.parameterization import Parameterization
from safelight.models.sampling.prediction import Flow, Noise
from safelight.models.sampling.samplers.sampling_context import Denoised, SamplingContext
from safelight.models.sampling.samplers.table import SAMPLERS, SKIPS_LAST_LEVEL
from safelight.models.sampling.schedules import SCHEDULES, karras, schedule

VARIANCE = 0.25
COUNT = 40_000

EXPLODING = Parameterization(Noise(), DiscreteLevels())
FLOW = Parameterization(Flow(), FlowLevels(1.0))

DETERMINISTIC = {
    name
    for name in SAMPLERS
    if not any(mark in name for mark in ("ancestral", "sde", "ddpm", "lcm", "seeds", "sa_solver"))
} | {"exp_heun_2_x0"}
FIRST_ORDER = {
    "euler",
    "ddim",
    "euler_cfg_pp",
    "gradient_estimation_cfg_pp",
    "gradient_estimation",
    "heunpp2",
    "dpm_fast",
}


def denoiser(parameterization: Parameterization) -> Callable[..., Denoised]:
    """The mean of a normal latent of this variance, given a noisy one."""

    def denoise(x: torch.Tensor, sigma: torch.Tensor, *, needs_negative: bool = False) -> Denoised:
        alpha = 1 - sigma if parameterization.is_flow else torch.ones(())
        denoised = alpha * VARIANCE / (alpha**2 * VARIANCE + sigma**2) * x
        return Denoised(denoised, denoised)

    return denoise


def seeded() -> StepNoise:
    generator = torch.Generator().manual_seed(7)
    return lambda sigma, following: torch.randn(COUNT, generator=generator)


def context_of(parameterization: Parameterization, sigmas: torch.Tensor, x: torch.Tensor) -> SamplingContext:
    return SamplingContext(denoiser(parameterization), x, sigmas, parameterization, noise=seeded())


def exploding_context(steps: int) -> SamplingContext:
    sigmas = karras(steps, 14.6, 0.03)
    start = torch.randn(COUNT, generator=torch.Generator().manual_seed(1)) * math.sqrt(VARIANCE + 14.6**2)
    return context_of(EXPLODING, sigmas, start)


def flow_context(steps: int) -> SamplingContext:
    start = torch.randn(COUNT, generator=torch.Generator().manual_seed(1))
    return context_of(FLOW, torch.linspace(1, 0, steps + 1), start)


@pytest.mark.parametrize("name", sorted(DETERMINISTIC))
def test_follows_the_probability_flow(name: str) -> None:
    """As the variance shrinks from one level to another, the flow shrinks every point by the same factor."""
    for steps, tolerance in (
        (20, 0.15 if name in FIRST_ORDER else 0.04),
        (200, 0.03 if name == "dpm_adaptive" else 0.015),
    ):
        context = exploding_context(steps)
        exact = context.x * math.sqrt(VARIANCE / (VARIANCE + 14.6**2))
        ratio = SAMPLERS[name](context) / exact
        assert ratio.sub(1).abs().max() < tolerance, (steps, float(ratio[0]))


NOT_BY_THE_MATHS = {"lcm", "dpmpp_2s_ancestral_cfg_pp"}
"""The second takes the negative prediction of one level for the guidance of another, as ComfyUI does."""
NOT_MADE_FOR_FLOWS = {"dpm_fast", "dpm_adaptive", "lcm", "ddpm", "res_multistep_ancestral"}
NOT_MADE_FOR_FLOWS |= {"res_multistep_ancestral_cfg_pp", "dpmpp_2s_ancestral_cfg_pp"}
"""Read a flow's levels as ratios of noise to signal, as ComfyUI does; ``tests/golden`` has its numbers."""


@pytest.mark.parametrize("name", sorted(set(SAMPLERS) - DETERMINISTIC - NOT_BY_THE_MATHS))
def test_draws_the_right_variance(name: str) -> None:
    drawn = SAMPLERS[name](exploding_context(100))
    assert float(drawn.var()) == pytest.approx(VARIANCE, rel=0.1)


def test_lcm_adds_fresh_noise_to_each_prediction() -> None:
    context = context_of(EXPLODING, torch.tensor([2.0, 0.5, 0.0]), torch.full((COUNT,), 3.0))
    denoise = denoiser(EXPLODING)
    again = denoise(context.x, torch.tensor(2.0)).guided + 0.5 * seeded()(torch.tensor(2.0), torch.tensor(0.5))
    torch.testing.assert_close(SAMPLERS["lcm"](context), denoise(again, torch.tensor(0.5)).guided)


@pytest.mark.parametrize("name", sorted(set(SAMPLERS) - NOT_MADE_FOR_FLOWS))
def test_flows(name: str) -> None:
    drawn = SAMPLERS[name](flow_context(100))
    assert float(drawn.var()) == pytest.approx(VARIANCE, rel=0.15)


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_one_step_gives_the_prediction(name: str) -> None:
    """From one level to zero: the result is the network's prediction."""
    if name in ("dpm_fast", "dpm_adaptive"):
        pytest.skip("ends at the lowest level above 0")
    context = context_of(EXPLODING, torch.tensor([2.0, 0.0]), torch.full((COUNT,), 3.0))
    expected = denoiser(EXPLODING)(context.x, torch.tensor(2.0)).guided
    torch.testing.assert_close(
        SAMPLERS[name](context), expected, rtol=2e-3, atol=5e-3 if name.startswith("uni_pc") else 1e-6
    )


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_reports_each_step(name: str) -> None:
    seen: list[int] = []
    base = exploding_context(7)
    context = SamplingContext(
        base.denoise,
        base.x,
        base.sigmas,
        base.parameterization,
        on_step=lambda i, d, x: seen.append(i),
        noise=base.noise,
    )
    SAMPLERS[name](context)
    assert seen == sorted(seen)
    assert seen[0] == 0
    if not name.startswith("dpm_fast") and name != "dpm_adaptive":
        assert len(seen) == 7


@pytest.mark.parametrize("scheduler", sorted(SCHEDULES))
@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_every_sampler_on_every_schedule(name: str, scheduler: str) -> None:
    """The standard deviation shrinks from that of the first level to that of the latents, as far as 150 steps allow."""
    sigmas = schedule(EXPLODING.levels, scheduler, 150, skip_last_level=name in SKIPS_LAST_LEVEL)
    first = math.sqrt(VARIANCE + float(sigmas[0]) ** 2)
    start = torch.randn(4_000, generator=torch.Generator().manual_seed(1)) * first
    generator = torch.Generator().manual_seed(7)
    noise: StepNoise = lambda sigma, following: torch.randn(4_000, generator=generator)  # noqa: E731
    context = SamplingContext(denoiser(EXPLODING), start, sigmas, EXPLODING, noise=noise)
    drawn = SAMPLERS[name](context)
    assert drawn.isfinite().all()
    expected = math.sqrt(VARIANCE) * (_SHRUNK_BY_LCM if name == "lcm" else 1)
    coarse = scheduler == "linear_quadratic"  # made for flows: its last step here is a long one
    assert float(drawn.std()) == pytest.approx(expected, rel=0.5 if coarse else 0.3 if name == "lcm" else 0.2)


_SHRUNK_BY_LCM = 0.65
"""It believes each prediction wholly, and predictions of a wide distribution are narrower than it."""
