"""Promise 6 over versions: what an earlier Safelight kept is there after an upgrade, also a cut-off one."""

import random
from pathlib import Path

import pytest
from tests.faults import upgrades
from tests.faults.ledger import Ledger

SEED = 20260105


@pytest.mark.parametrize("fixture", upgrades.FIXTURES, ids=lambda path: path.name)
def test_an_earlier_installation_reads_back_whole(fixture: Path, tmp_path: Path) -> None:
    upgrades.read_back(fixture, tmp_path)


@pytest.mark.parametrize("fixture", upgrades.FIXTURES, ids=lambda path: path.name)
def test_a_killed_migration_starts_again(fixture: Path, tmp_path: Path) -> None:
    upgrades.half_migrated(fixture, tmp_path, random.Random(SEED), Ledger())


def test_there_is_an_earlier_installation() -> None:
    assert upgrades.FIXTURES
