"""Promise 8 with a crowd."""

import random
from pathlib import Path

from tests.faults import crowds
from tests.faults.ledger import Ledger

SEED = 20260105


def test_nine_users_do_not_wait_behind_a_thousand_jobs_of_one(tmp_path: Path) -> None:
    crowds.run(tmp_path, random.Random(SEED), Ledger())
