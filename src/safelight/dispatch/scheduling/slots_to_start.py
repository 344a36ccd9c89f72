"""How many stopped slots must start, so that each waiting job has one. Pure."""

from collections.abc import Mapping, Sequence

from safelight.core.pool import ANY, Pool
from safelight.core.worker import SlotId


def slots_to_start(
    waiting: Mapping[Pool, int], *, free: Sequence[frozenset[Pool]], stopped: Mapping[SlotId, frozenset[Pool]]
) -> Sequence[SlotId]:
    """The ``stopped`` slots to start. ``waiting``: the number of waiting jobs by pool. ``free``: the labels of the
    slots that are free or starting. A slot takes a job of one of its labels before a job that any slot may run."""
    left = dict(waiting)
    for labels in free:
        _take(left, labels)
    return [slot for slot, labels in stopped.items() if _take(left, labels)]


def _take(left: dict[Pool, int], labels: frozenset[Pool]) -> bool:
    for pool in (*sorted(labels), ANY):
        if left.get(pool, 0) > 0:
            left[pool] -= 1
            return True
    return False
