"""The eight promises, as far as they are the dispatcher's, in simulated worlds of seeded faults."""

from pathlib import Path

from tests.faults import simulation
from tests.faults.ledger import Ledger

FIRST_SEED = 1


def test_promises_hold_in_two_hundred_worlds(tmp_path: Path) -> None:
    print("seeds from", FIRST_SEED)
    assert simulation.run(tmp_path, range(FIRST_SEED, FIRST_SEED + 200), Ledger()) == 200
