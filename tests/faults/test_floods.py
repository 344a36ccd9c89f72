"""Promise 8 at the HTTP door: one client's huge prompts are no other's wait."""

import random
from pathlib import Path

from tests.faults import floods
from tests.faults.ledger import Ledger

SEED = 20261130


def test_huge_prompts_hold_up_nobody_else(tmp_path: Path) -> None:
    floods.floods(tmp_path, random.Random(SEED), Ledger())
