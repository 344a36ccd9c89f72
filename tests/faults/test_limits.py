"""Promises 2 and 4 where a job, or a place for files, would hold a worker up for ever."""

import random
from pathlib import Path

from tests.faults import actors, limits
from tests.faults.ledger import Ledger

SEED = 20260101


def test_a_job_that_would_run_for_ever_is_ended_and_holds_nobody_up(tmp_path: Path) -> None:
    limits.hung(tmp_path, random.Random(SEED), Ledger())


def test_a_slot_whose_folder_is_gone_is_shut_and_fails_no_job(tmp_path: Path) -> None:
    limits.shut(tmp_path, random.Random(SEED), Ledger())


def test_drain_now_sends_jobs_back_and_loses_none(tmp_path: Path) -> None:
    limits.drained(tmp_path, random.Random(SEED), Ledger())


def test_the_end_of_an_outlived_actor_harms_no_job_of_the_next(tmp_path: Path) -> None:
    actors.ends(tmp_path, random.Random(SEED), Ledger())
