"""Noise levels: tables against measured ones, and timesteps as their inverse."""

import math

import pytest
import torch

from safelight.models.sampling.levels import (
    ABOVE_ALL,
    ContinuousEdmLevels,
    ContinuousVLevels,
    CosineLevels,
    DiscreteLevels,
    DistilledLevels,
    ExponentialFlowLevels,
    FlowLevels,
    Levels,
)

ALL: list[Levels] = [
    DiscreteLevels(),
    DiscreteLevels(zero_terminal=True),
    DistilledLevels(),
    ContinuousEdmLevels(),
    ContinuousVLevels(),
    FlowLevels(),
    FlowLevels(shift=3.0),
    ExponentialFlowLevels(),
    CosineLevels(),
]


@pytest.mark.parametrize("levels", ALL, ids=repr)
def test_levels_rise_to_the_highest(levels: Levels) -> None:
    sigmas = levels.sigmas
    assert sigmas.dtype == torch.float32
    assert bool((sigmas.diff() >= 0).all())
    assert float(sigmas[0]) > 0


@pytest.mark.parametrize("levels", [each for each in ALL if not isinstance(each, FlowLevels | ExponentialFlowLevels)])
def test_the_timestep_of_a_level_leads_back_to_it(levels: Levels) -> None:
    some = levels.sigmas[len(levels.sigmas) // 10 : -len(levels.sigmas) // 10 : 7]
    assert torch.allclose(levels.sigma(levels.timestep(some)), some, rtol=2e-3)


@pytest.mark.parametrize("levels", ALL, ids=repr)
def test_the_way_leads_from_above_all_levels_to_nothing(levels: Levels) -> None:
    parts = [0.0, 0.1, 0.5, 0.9, 1.0]
    on_the_way = [levels.sigma_at(part) for part in parts]
    assert on_the_way == sorted(on_the_way, reverse=True)
    assert on_the_way[-1] == 0.0
    assert on_the_way[0] == (ABOVE_ALL if float(levels.sigmas[-1]) > 1 else 1.0)


def test_the_discrete_table_follows_its_betas() -> None:
    signal, sigmas = 1.0, []
    for entry in range(1000):
        beta = (math.sqrt(0.00085) + (math.sqrt(0.012) - math.sqrt(0.00085)) * entry / 999) ** 2
        signal *= 1 - beta
        sigmas.append(math.sqrt((1 - signal) / signal))
    assert DiscreteLevels().sigmas.tolist() == pytest.approx(sigmas, rel=1e-6)


def test_the_timestep_is_the_nearest_by_logarithm() -> None:
    levels = DiscreteLevels()
    low, high = levels.sigmas[500], levels.sigmas[501]
    middle = (low * high).sqrt()
    assert levels.timestep(torch.stack([middle * 0.9999, middle * 1.0001])).tolist() == [500.0, 501.0]
    assert levels.sigma(torch.tensor(500.5)) == pytest.approx(float(middle), rel=1e-6)


def test_zero_terminal_ends_in_noise_and_keeps_its_first_level() -> None:
    usual, rescaled = DiscreteLevels().sigmas, DiscreteLevels(zero_terminal=True).sigmas
    assert rescaled[0] == pytest.approx(float(usual[0]), rel=1e-4)
    assert float(rescaled[-1]) == pytest.approx(4518.8, rel=1e-3)


def test_distilled_levels_are_every_twentieth() -> None:
    levels = DistilledLevels()
    assert torch.equal(levels.sigmas, DiscreteLevels().sigmas[19::20])
    assert levels.timestep(levels.sigmas[:3]).tolist() == [19.0, 39.0, 59.0]


def test_a_shift_multiplies_the_signal_to_noise_ratio() -> None:
    plain, shifted = FlowLevels().sigmas[:-1], FlowLevels(shift=3.0).sigmas[:-1]
    assert torch.allclose(shifted / (1 - shifted), 3.0 * plain / (1 - plain), rtol=1e-3)
    exponential = ExponentialFlowLevels(log_shift=math.log(3.0))
    assert torch.allclose(exponential.sigma(torch.arange(1, 1000) / 1000), shifted, rtol=1e-5)
