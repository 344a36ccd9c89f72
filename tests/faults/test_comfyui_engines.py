"""Promises 2, 3, 4 and 5 on a ComfyUI as the engine: the stand-in, or a real one (``SAFELIGHT_TEST_COMFYUI``)."""

import random
from pathlib import Path

import pytest
from tests.faults import engines
from tests.faults.ledger import Ledger
from tests.faults.site import comfyui

SEED = 20260101


def test_engines_killed_inside_jobs_lose_nothing(tmp_path: Path) -> None:
    ledger = Ledger()
    engines.deaths_at_points(tmp_path, random.Random(SEED), ledger, kills=8, settings=comfyui(tmp_path))
    assert ledger.total == 8


def test_engines_killed_at_random_moments_lose_nothing(tmp_path: Path) -> None:
    ledger = Ledger()
    engines.deaths_at_random(tmp_path, random.Random(SEED), ledger, kills=8, settings=comfyui(tmp_path))
    assert ledger.total > 5


def test_a_job_that_always_ends_its_engine_stops_after_the_retry_limit(tmp_path: Path) -> None:
    engines.poison(tmp_path, random.Random(SEED), Ledger(), settings=comfyui(tmp_path))


@pytest.mark.slow
def test_two_hundred_kills_lose_nothing(tmp_path: Path) -> None:
    ledger = Ledger()
    for name, deaths in (("points", engines.deaths_at_points), ("random", engines.deaths_at_random)):
        folder = tmp_path / name
        folder.mkdir()
        deaths(folder, random.Random(SEED), ledger, kills=100, settings=comfyui(folder))
    assert ledger.total > 190, "now and then there is no engine to kill, because the last one has just ended"
