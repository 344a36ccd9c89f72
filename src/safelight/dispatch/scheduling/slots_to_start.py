"""How many stopped slots must start, so that each waiting job has one. Pure."""

from collections.abc import Mapping, Sequence

from safelight.core.pool import Capabilities, Requirements, fits, narrowness
from safelight.core.worker import SlotId


def slots_to_start(
    waiting: Mapping[Requirements, int], *, free: Sequence[Capabilities], stopped: Mapping[SlotId, Capabilities]
) -> Sequence[SlotId]:
    """The ``stopped`` slots to start, the preferred ones first. ``waiting``: the number of waiting jobs. ``free``: the
    slots that are free or starting. A slot takes the job that the fewest slots may run."""
    left = dict(waiting)
    for has in free:
        _take(left, has)
    return [slot for slot, has in stopped.items() if _take(left, has)]


def _take(left: dict[Requirements, int], has: Capabilities) -> bool:
    for required in sorted(left, key=narrowness, reverse=True):
        if left[required] > 0 and fits(required, has):
            left[required] -= 1
            return True
    return False
