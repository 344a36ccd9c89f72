"""Promise 6: what was acknowledged is read back byte for byte, or is reported as damaged."""

import random
from pathlib import Path

import pytest
from tests.faults import keeping
from tests.faults.ledger import Ledger

SEED = 20260104


def test_damaged_bytes_are_never_served_as_intact(tmp_path: Path) -> None:
    keeping.damaged(tmp_path, random.Random(SEED), Ledger())


def test_garbage_is_collected_while_the_same_bytes_are_uploaded_and_deleted(tmp_path: Path) -> None:
    keeping.collected(tmp_path, random.Random(SEED), Ledger())


@pytest.mark.slow
def test_a_backup_under_load_is_restored_completely(tmp_path: Path) -> None:
    keeping.backed_up(tmp_path, random.Random(SEED), Ledger())
