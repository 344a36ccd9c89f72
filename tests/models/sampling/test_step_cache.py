"""Evaluations that are left out, and those that are not."""

import torch

from safelight.models.sampling.step_cache import StepCache, StepCacheRun


def walked(cache: StepCache, *, keys: tuple[int, ...] = (0,), steps: int = 8) -> tuple[StepCacheRun, list[int]]:
    """The run, and the numbers of the steps that were evaluated; the input of each moves by the same amount."""
    run, evaluated = StepCacheRun(cache), []
    for step in range(steps):
        x = torch.full((len(keys), 4, 16, 16), 1.0 + step / 100)

        def evaluate(x: torch.Tensor = x, step: int = step) -> torch.Tensor:
            evaluated.append(step)
            return 2 * x

        run.begin_step()
        made = run(evaluate, x, 1.0 - step / steps, keys)
        assert torch.allclose(made, 2 * x, atol=0.1)
    return run, evaluated


def test_two_evaluations_are_needed_before_one_is_left_out() -> None:
    run, evaluated = walked(StepCache(10.0, 1.0, 0.0))
    assert evaluated == [0, 1]
    assert run.skipped == 6


def test_estimates_add_up_until_the_network_is_evaluated_again() -> None:
    _, evaluated = walked(StepCache(0.025, 1.0, 0.0))
    assert evaluated == [0, 1, 3, 5, 7]


def test_outside_of_its_range_every_step_is_evaluated() -> None:
    _, evaluated = walked(StepCache(10.0, 0.6, 0.2))
    assert evaluated == [0, 1, 2, 3, 4, 5, 7]


def test_the_first_conditioning_decides_for_all_of_a_step() -> None:
    run = StepCacheRun(StepCache(10.0, 1.0, 0.0))
    calls = []
    for step in range(4):
        run.begin_step()
        for key in (1, 2):
            x = torch.full((1, 4, 8, 8), float(step + key))

            def evaluate(x: torch.Tensor = x, place: tuple[int, int] = (step, key)) -> torch.Tensor:
                calls.append(place)
                return 3 * x

            run(evaluate, x, 1.0 - step / 4, (key,))
    assert calls == [(0, 1), (0, 2), (1, 1), (1, 2)]
