"""Promises 1, 3 and 6 under ``kill -9`` of the server."""

import random
from pathlib import Path

from tests.faults import servers
from tests.faults.ledger import Ledger

SEED = 20260102


def test_what_was_acknowledged_survives_a_kill_of_everything(tmp_path: Path) -> None:
    print("seed", SEED)
    servers.deaths(tmp_path, random.Random(SEED), Ledger(), kills=4)


def test_half_written_files_are_removed(tmp_path: Path) -> None:
    servers.leftovers(tmp_path, random.Random(SEED), Ledger())
