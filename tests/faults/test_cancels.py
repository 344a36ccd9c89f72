"""Promises 2 and 5 under cancels."""

import random
from pathlib import Path

from tests.faults import cancels
from tests.faults.ledger import Ledger

SEED = 20260104


def test_a_cancel_ends_its_job_and_no_other(tmp_path: Path) -> None:
    print("seed", SEED)
    cancels.cancels(tmp_path, random.Random(SEED), Ledger(), number=24)
