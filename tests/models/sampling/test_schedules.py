"""Schedules against ComfyUI's (measured for Stable Diffusion 1), and which part of one is used."""

import json
from pathlib import Path

import pytest
import torch

from safelight.models.sampling.levels import ContinuousEdmLevels, DiscreteLevels, FlowLevels
from safelight.models.sampling.schedules import SCHEDULES, schedule, step_range

MEASURED: dict[str, list[float]] = json.loads(
    (Path(__file__).parents[2] / "golden" / "sampling" / "sigmas.json").read_text()
)
FALLING = torch.tensor([4.0, 3.0, 2.0, 1.0, 0.0])


@pytest.mark.parametrize("key", MEASURED)
def test_a_schedule_is_as_measured(key: str) -> None:
    name, steps = key.rsplit("_", 1)
    ours = SCHEDULES[name](DiscreteLevels(), int(steps))
    assert ours.tolist() == pytest.approx(MEASURED[key], rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("levels", [DiscreteLevels(), FlowLevels(shift=3.0), ContinuousEdmLevels()], ids=repr)
@pytest.mark.parametrize("steps", [1, 2, 13])
def test_every_schedule_falls_to_zero(name: str, levels: DiscreteLevels, steps: int) -> None:
    sigmas = SCHEDULES[name](levels, steps)
    assert sigmas[-1] == 0
    assert bool((sigmas.diff() < 0).all())
    assert len(sigmas) >= steps + 1


def test_a_part_of_the_denoising_takes_the_last_steps_of_more() -> None:
    levels = DiscreteLevels()
    half = schedule(levels, "normal", 10, denoise=0.5)
    assert torch.equal(half, schedule(levels, "normal", 20)[-11:])
    assert len(schedule(levels, "normal", 10, denoise=0.0)) == 0
    assert torch.equal(schedule(levels, "normal", 10, denoise=0.99999), schedule(levels, "normal", 10))


def test_samplers_that_skip_a_level_lack_the_one_before_the_last() -> None:
    levels = DiscreteLevels()
    more = schedule(levels, "karras", 6)
    skipping = schedule(levels, "karras", 5, skip_last_level=True)
    assert torch.equal(skipping, torch.cat([more[:5], more[6:]]))


def test_no_steps_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 step, not 0"):
        schedule(DiscreteLevels(), "normal", 0)


def test_parts() -> None:
    assert step_range(FALLING).tolist() == [4, 3, 2, 1, 0]
    assert step_range(FALLING, end_step=2).tolist() == [4, 3, 2]
    assert step_range(FALLING, end_step=2, remains="nothing").tolist() == [4, 3, 0]
    assert step_range(FALLING, start_step=2).tolist() == [2, 1, 0]
    assert step_range(FALLING, start_step=1, end_step=3).tolist() == [3, 2, 1]
    assert step_range(FALLING, start_step=4).tolist() == []
    assert step_range(FALLING, start_step=3, end_step=2).tolist() == []
    assert step_range(FALLING, end_step=10000, remains="nothing").tolist() == [4, 3, 2, 1, 0]
    assert FALLING.tolist() == [4, 3, 2, 1, 0]
