"""When a job will start: runs a copy of the fair queue ahead in time, with the seconds that jobs usually take. Pure.

What it leaves out: models that are loaded already, users who are bound to a slot, and jobs that arrive later.
"""

import heapq
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from safelight.core.ids import JobId, UserId
from safelight.core.pool import Capabilities, QueueKey, fits
from safelight.core.worker import SlotId
from safelight.dispatch.scheduling.fairness import FairQueue

MOST_VISITS = 20_000
"""Accounts that one forecast looks at; beyond that, the start follows from the shares of the users."""
_SHORTEST_S = 0.001


@dataclass(frozen=True, slots=True)
class ForecastSlot:
    """A slot that runs jobs now or soon. ``runs``: its job, with the seconds since it began; ``None``: it is free."""

    id: SlotId
    has: Capabilities
    rank: int = 0
    runs: tuple[UserId, JobId, float] | None = None


@dataclass(frozen=True, slots=True)
class Forecast:
    """``slot``: where the job will start; ``None`` where only the time is known."""

    start_s: float
    slot: SlotId | None


def forecast(
    fair: FairQueue,
    slots: Sequence[ForecastSlot],
    *,
    depths: Mapping[QueueKey, int],
    key: QueueKey,
    ahead: int,
    run_s: float | None,
    at_limit: Mapping[UserId, Collection[QueueKey]],
    now_s: float,
) -> Forecast | None:
    """The start of the job behind ``ahead`` others of ``key``; ``None`` if it is unknown, or no slot can run it.

    ``fair``: a copy, which this uses up. ``depths``: the jobs that wait under each key. ``run_s``: how long this job
    takes, which is also assumed of jobs of which nothing is known. ``at_limit``: the keys of users who are at their
    concurrency limit; each end lets one of their jobs start.
    """
    left = {**depths, key: ahead + 1}
    limited = {owner: set(keys) for owner, keys in at_limit.items()}
    if key not in limited.get(key.owner_id, ()):
        fair.add(key, now_s=now_s)
    free = sorted((slot for slot in slots if slot.runs is None), key=lambda slot: slot.rank)
    ends: list[tuple[float, int, ForecastSlot, UserId, JobId]] = []
    for number, slot in enumerate(slots):
        if slot.runs is not None:
            owner, job_id, ran_s = slot.runs
            usual_s = fair.usual_s(owner, default=run_s)
            if usual_s is None:
                return _at_once(free, key, left, now_s, fair)
            heapq.heappush(ends, (now_s + _rest_s(usual_s, ran_s), number, slot, owner, job_id))
    at_s, visits, number = now_s, 0, len(slots)
    shared = _by_shares(fair, slots, depths=depths, key=key, ahead=ahead, run_s=run_s)
    while visits < MOST_VISITS:
        visits += len(fair)
        found = _next(fair, free, left, at_s)
        if found is None:
            if not ends:
                return None
            at_s, _, slot, owner, job_id = heapq.heappop(ends)
            fair.end(owner, job_id, now_s=at_s)
            free = sorted((*free, slot), key=lambda slot: slot.rank)
            for waiting in limited.get(owner, ()):
                fair.add(waiting, now_s=at_s)
            continue
        chosen, slot = found
        left[chosen] -= 1
        if chosen == key and left[key] == 0:
            return Forecast(at_s - now_s, slot.id)
        usual_s = fair.usual_s(chosen.owner_id, default=run_s)
        if usual_s is None:
            return None
        number += 1
        free.remove(slot)
        job_id = JobId(f"forecast {number}")
        fair.start(chosen.owner_id, job_id, now_s=at_s, weight=fair.weight(chosen.owner_id))
        heapq.heappush(ends, (at_s + max(usual_s, _SHORTEST_S), number, slot, chosen.owner_id, job_id))
        for waiting in limited.get(chosen.owner_id, ()):
            fair.remove(waiting)
    return shared


def _by_shares(
    fair: FairQueue,
    slots: Sequence[ForecastSlot],
    *,
    depths: Mapping[QueueKey, int],
    key: QueueKey,
    ahead: int,
    run_s: float | None,
) -> Forecast | None:
    """By what fairness comes to in a long queue: while the owner's earlier jobs run, every other user gets as much
    device time in proportion to their weight, or less if they want less."""
    able = sum(fits(key.requirements, slot.has) for slot in slots)
    own_s = fair.usual_s(key.owner_id, default=run_s)
    if not able or own_s is None:
        return None
    share = ahead * own_s / fair.weight(key.owner_id)
    wanted: dict[UserId, float] = {}
    for other, count in depths.items():
        if other.owner_id != key.owner_id:
            usual_s = fair.usual_s(other.owner_id, default=own_s) or own_s
            wanted[other.owner_id] = wanted.get(other.owner_id, 0.0) + count * usual_s
    others_s = sum(min(seconds, share * fair.weight(owner)) for owner, seconds in wanted.items())
    return Forecast((ahead * own_s + others_s) / able, None)


def _next(
    fair: FairQueue, free: Sequence[ForecastSlot], left: Mapping[QueueKey, int], now_s: float
) -> tuple[QueueKey, ForecastSlot] | None:
    if not free:
        return None
    for key in fair.order(now_s=now_s):
        if left.get(key, 0) <= 0:
            fair.remove(key)
            continue
        for slot in free:
            if fits(key.requirements, slot.has):
                return key, slot
    return None


def _at_once(
    free: Sequence[ForecastSlot], key: QueueKey, left: Mapping[QueueKey, int], now_s: float, fair: FairQueue
) -> Forecast | None:
    """What is known even where no duration is: that the job is the next one, and a slot is free for it."""
    found = _next(fair, free, left, now_s)
    return Forecast(0.0, found[1].id) if found is not None and found[0] == key and left[key] == 1 else None


def _rest_s(usual_s: float, ran_s: float) -> float:
    """A job that has run longer than usual is taken to need half of that time more."""
    return max(usual_s - ran_s, _SHORTEST_S) if ran_s < usual_s else usual_s / 2
