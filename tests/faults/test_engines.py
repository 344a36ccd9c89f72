"""Promises 2, 3, 4 and 5 under faults of engines: a real server, real engines, a real database."""

import random
from pathlib import Path

from tests.faults import engines
from tests.faults.ledger import Ledger

SEED = 20260101


def test_engines_killed_inside_jobs_lose_nothing(tmp_path: Path) -> None:
    print("seed", SEED)
    ledger = Ledger()
    engines.deaths_at_points(tmp_path, random.Random(SEED), ledger, kills=16)
    assert ledger.total == 16


def test_engines_killed_at_random_moments_lose_nothing(tmp_path: Path) -> None:
    print("seed", SEED)
    ledger = Ledger()
    engines.deaths_at_random(tmp_path, random.Random(SEED), ledger, kills=14)
    assert ledger.total == 14


def test_a_job_that_always_ends_its_engine_stops_after_the_retry_limit(tmp_path: Path) -> None:
    engines.poison(tmp_path, random.Random(SEED), Ledger())


def test_a_frozen_engine_is_replaced_and_its_late_messages_have_no_effect(tmp_path: Path) -> None:
    engines.frozen(tmp_path, random.Random(SEED), Ledger())


def test_unruly_nodes_do_not_affect_other_jobs(tmp_path: Path) -> None:
    engines.unruly(tmp_path, random.Random(SEED), Ledger())
