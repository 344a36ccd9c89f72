"""Two thousand sockets that are silent and come back all at once."""

import random
from pathlib import Path

import pytest
from tests.faults import sockets
from tests.faults.ledger import Ledger


def test_two_thousand_idle_sockets_reconnect(tmp_path: Path) -> None:
    if not sockets.allow_open_files(6000):
        pytest.skip("this system lets a process have fewer than 6,000 open files")
    ledger = Ledger()
    sockets.crowd(tmp_path, random.Random(1), ledger, users=8)
    assert ledger.total == 6000
