"""Promises 2 and 4 for jobs and folders that would occupy a worker forever."""

import random
from pathlib import Path

from tests.faults import actors, limits
from tests.faults.ledger import Ledger

SEED = 20260101


def test_a_job_that_would_run_forever_is_ended_and_delays_no_other(tmp_path: Path) -> None:
    limits.hung(tmp_path, random.Random(SEED), Ledger())


def test_a_slot_whose_folder_is_gone_is_shut_and_no_job_fails(tmp_path: Path) -> None:
    limits.shut(tmp_path, random.Random(SEED), Ledger())


def test_drain_now_requeues_jobs_and_loses_none(tmp_path: Path) -> None:
    limits.drained(tmp_path, random.Random(SEED), Ledger())


def test_an_agent_that_outlives_its_server_does_not_affect_the_next(tmp_path: Path) -> None:
    actors.ends(tmp_path, random.Random(SEED), Ledger())
