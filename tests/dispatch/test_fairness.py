"""Which user is next, simulated: users with jobs of any length on any number of slots."""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from safelight.core.ids import JobId, UserId
from safelight.core.pool import Pool, QueueKey
from safelight.dispatch.scheduling.fairness import FairQueue

USERS = [UserId(name) for name in "abcde"]


@dataclass(order=True)
class Event:
    at: float
    order: int
    owner: UserId = field(compare=False)
    job: JobId = field(compare=False)
    is_end: bool = field(compare=False)


@dataclass(frozen=True)
class Start:
    at: float
    owner: UserId
    job: JobId
    waiting: dict[UserId, float]
    """The waiting users, and since when none of their jobs has started."""


def simulate(
    arrivals: list[tuple[float, UserId, float]], *, slots: int, weights: Mapping[UserId, float] | None = None
) -> tuple[list[Start], dict[UserId, float]]:
    """``arrivals``: time, owner, length. Returns the starts in order, and the seconds of each owner."""
    queue = FairQueue()
    lengths = {JobId(str(n)): length for n, (_, _, length) in enumerate(arrivals)}
    events = [Event(at, n, owner, JobId(str(n)), False) for n, (at, owner, _) in enumerate(arrivals)]
    heapq.heapify(events)
    queues: dict[UserId, list[JobId]] = {}
    since: dict[UserId, float] = {}
    starts: list[Start] = []
    got: dict[UserId, float] = {}
    free, now, serial = slots, 0.0, len(arrivals)
    while events:
        event = heapq.heappop(events)
        now = event.at
        if event.is_end:
            free += 1
            queue.end(event.owner, event.job, now_s=now)
            got[event.owner] = got.get(event.owner, 0) + lengths[event.job]
        else:
            queues.setdefault(event.owner, []).append(event.job)
            since.setdefault(event.owner, now)
            queue.add(QueueKey(event.owner), now_s=now)
        if events and events[0].at == now:
            continue  # events of the same time come before the next choice
        while free and (order := queue.order(now_s=now)):
            owner = order[0].owner_id
            assert {key.owner_id for key in order} == {o for o, jobs in queues.items() if jobs}
            job = queues[owner].pop(0)
            starts.append(Start(now, owner, job, dict(since)))
            queue.start(owner, job, now_s=now, weight=(weights or {}).get(owner, 1.0))
            since.pop(owner, None)
            if queues[owner]:
                since[owner] = now
            else:
                queue.remove(QueueKey(owner))
            free -= 1
            serial += 1
            heapq.heappush(events, Event(now + lengths[job], serial, owner, job, True))
    return starts, got


LENGTHS = st.floats(0.01, 50)
ARRIVALS = st.lists(st.tuples(st.floats(0, 100), st.sampled_from(USERS), LENGTHS), min_size=1, max_size=60)


@given(ARRIVALS, st.integers(1, 4))
def test_every_job_runs_and_no_slot_idles_while_a_job_waits(
    arrivals: list[tuple[float, UserId, float]], slots: int
) -> None:
    starts, _ = simulate(arrivals, slots=slots)
    assert sorted(start.job for start in starts) == sorted(str(n) for n in range(len(arrivals)))


@given(st.integers(1, 3), st.lists(LENGTHS, min_size=30, max_size=60), st.floats(0, 40), LENGTHS)
def test_a_newcomer_waits_behind_one_running_job_per_slot(
    slots: int, backlog: list[float], arrival: float, length: float
) -> None:
    """Promise 8: one user has a long queue, another comes later: the first then starts no job before the other."""
    anna, ben = USERS[:2]
    starts, _ = simulate([(0.0, anna, one) for one in backlog] + [(arrival, ben, length)], slots=slots)
    his = next(n for n, start in enumerate(starts) if start.owner == ben)
    assert [start.owner for start in starts[:his] if start.at > arrival] == []


@given(st.integers(1, 3), st.data())
def test_users_who_always_have_work_get_the_same_seconds(slots: int, data: st.DataObject) -> None:
    """Within the length of the longest job per slot, the usual bound of fair queueing."""
    users = USERS[: data.draw(st.integers(2, 4))]
    longest = data.draw(st.floats(1, 20))
    jobs = {u: data.draw(st.lists(st.floats(0.1, longest), min_size=40, max_size=40)) for u in users}
    arrivals = [(0.0, user, length) for user in users for length in jobs[user]]
    starts, _ = simulate(arrivals, slots=slots)
    got = dict.fromkeys(users, 0.0)
    left = {user: len(jobs[user]) for user in users}
    lengths = [length for _, _, length in arrivals]
    for start in starts:
        got[start.owner] += lengths[int(start.job)]
        left[start.owner] -= 1
        if min(left.values()) == 0:
            break
        assert max(got.values()) - min(got.values()) <= longest * (slots + 1)


@given(st.integers(1, 3), st.floats(1, 5), st.data())
def test_users_of_different_weight_get_seconds_by_their_weights(slots: int, weight: float, data: st.DataObject) -> None:
    anna, ben = USERS[:2]
    lengths = st.lists(st.floats(0.1, 4), min_size=60, max_size=60)
    arrivals = [(0.0, user, length) for user in (anna, ben) for length in data.draw(lengths)]
    starts, _ = simulate(arrivals, slots=slots, weights={anna: weight})
    got, left = {anna: 0.0, ben: 0.0}, {anna: 60, ben: 60}
    for start in starts:
        got[start.owner] += arrivals[int(start.job)][2]
        left[start.owner] -= 1
        if min(left.values()) == 0:
            break
        assert abs(got[anna] / weight - got[ben]) <= 4 * (slots + 1)


def test_a_user_queued_in_several_pools_has_one_virtual_time() -> None:
    queue, large = FairQueue(), Pool("large")
    assert queue.add(QueueKey(USERS[0]), now_s=0)
    assert not queue.add(QueueKey(USERS[0], large), now_s=0)
    queue.add(QueueKey(USERS[1]), now_s=0)
    queue.start(USERS[0], JobId("a"), now_s=0)
    assert queue.order(now_s=5) == [QueueKey(USERS[1]), QueueKey(USERS[0], large), QueueKey(USERS[0])]
    assert not queue.remove(QueueKey(USERS[0], large))
    assert queue.remove(QueueKey(USERS[0]))
    assert queue.order(now_s=5) == [QueueKey(USERS[1])]


def test_a_thousand_jobs_of_one_and_three_of_each_of_nine() -> None:
    crowd = [UserId(f"user {n}") for n in range(9)]
    big = [(0.0, UserId("big"), 1.0)] * 1000
    small = [(10.5, user, 1.0) for user in crowd for _ in range(3)]
    starts, _ = simulate(big + small, slots=2)
    last = max(start.at for start in starts if start.owner != "big")
    assert last <= 10.5 + (27 + 2 * 3) / 2 + 1  # their own 27 jobs, and the share of the user with a thousand


def test_slots_that_are_free_together_go_to_different_users() -> None:
    starts, _ = simulate([(0.0, USERS[0], 9.0)] * 4 + [(0.0, USERS[1], 9.0)] * 4, slots=4)
    assert sorted(start.owner for start in starts[:4]) == ["a", "a", "b", "b"]


def test_an_absent_user_earns_no_credit() -> None:
    """A user who was absent while others worked does not return with a credit of device-seconds."""
    anna, ben = USERS[:2]
    arrivals = [(0.0, ben, 1.0)] + [(0.0, anna, 1.0)] * 40 + [(20.0, ben, 1.0)] * 20
    starts, _ = simulate(arrivals, slots=1)
    after = [start.owner for start in starts if 20 <= start.at < 30]
    assert 4 <= after.count(ben) <= 6


def test_the_virtual_time_of_absent_users_is_forgotten() -> None:
    queue = FairQueue()
    for n in range(100):
        owner, job = UserId(f"user {n}"), JobId(str(n))
        queue.add(QueueKey(owner), now_s=n)
        queue.start(owner, job, now_s=n)
        queue.remove(QueueKey(owner))
        queue.end(owner, job, now_s=n + 0.5)
    queue.add(QueueKey(USERS[0]), now_s=1000)
    assert queue.order(now_s=1000) == [QueueKey(USERS[0])]
    assert len(queue) == 1
