"""Promises 1 and 6 under faults of storage."""

import os
import random
from pathlib import Path

import pytest
from tests.faults import disks
from tests.faults.ledger import Ledger

SEED = 20260103
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a small file system")


@needs_root
def test_a_full_disk_under_files_is_reported(tmp_path: Path) -> None:
    disks.full_of_files(tmp_path, random.Random(SEED), Ledger())


@needs_root
def test_a_full_disk_under_the_database_is_reported(tmp_path: Path) -> None:
    disks.full_database(tmp_path, random.Random(SEED), Ledger())


def test_a_locked_database_is_reported(tmp_path: Path) -> None:
    disks.locked(tmp_path, random.Random(SEED), Ledger())


def test_a_disk_that_rejects_writes_is_reported(tmp_path: Path) -> None:
    disks.unwritable(tmp_path, random.Random(SEED), Ledger())
