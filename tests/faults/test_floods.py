"""Promise 8 for HTTP: one client's huge prompts do not delay others."""

import random
from pathlib import Path

from tests.faults import floods
from tests.faults.ledger import Ledger

SEED = 20261130


def test_huge_prompts_do_not_delay_others(tmp_path: Path) -> None:
    floods.floods(tmp_path, random.Random(SEED), Ledger())
