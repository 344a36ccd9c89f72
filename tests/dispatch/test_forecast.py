"""When a job will start, by the fair queue run ahead in time."""

import pytest

from safelight.core.engine_kind import OWN, EngineKind
from safelight.core.ids import JobId, UserId
from safelight.core.pool import ANY, Capabilities, Pool, QueueKey
from safelight.core.worker import SlotId
from safelight.dispatch.scheduling.fairness import FairQueue
from safelight.dispatch.scheduling.forecast import Forecast, ForecastSlot, forecast

ANN, BOB, EVE = UserId("ann"), UserId("bob"), UserId("eve")
COMFYUI = EngineKind("comfyui")
KEY = QueueKey(ANN)


def slot(name: str, *, engine: EngineKind = OWN, labels: str = "", runs: UserId | None = None, ran_s: float = 0):
    has = Capabilities(frozenset(map(Pool, labels.split())), engine)
    return ForecastSlot(SlotId(name), has, runs=None if runs is None else (runs, JobId(f"job on {name}"), ran_s))


def fair_queue(*running: ForecastSlot, waiting: tuple[QueueKey, ...] = (), now_s: float = 100) -> FairQueue:
    """As it is after these jobs have started."""
    queue = FairQueue()
    for key in waiting:
        queue.add(key, now_s=0)
    for one in running:
        if one.runs is not None:
            owner, job_id, ran_s = one.runs
            queue.add(QueueKey(owner), now_s=now_s - ran_s)
            queue.start(owner, job_id, now_s=now_s - ran_s)
            if QueueKey(owner) not in waiting:
                queue.remove(QueueKey(owner))
    return queue


def ask(queue: FairQueue, *slots: ForecastSlot, ahead=0, run_s=10.0, key=KEY, depths=None, at_limit=None):
    return forecast(
        queue,
        slots,
        depths=depths or {},
        key=key,
        ahead=ahead,
        run_s=run_s,
        at_limit=at_limit or {},
        now_s=100,
    )


def test_a_free_slot_begins_at_once_even_if_no_duration_is_known() -> None:
    assert ask(FairQueue(), slot("gpu"), run_s=None) == Forecast(0, SlotId("gpu"))


def test_the_owners_earlier_jobs_and_the_running_one_come_first() -> None:
    busy = slot("gpu", runs=ANN, ran_s=4)
    assert ask(fair_queue(busy, waiting=(KEY,)), busy, ahead=2, depths={KEY: 3}) == Forecast(26, SlotId("gpu"))


def test_a_newcomer_waits_for_one_job_of_another_user_and_not_for_all_of_them() -> None:
    busy = slot("gpu", runs=BOB, ran_s=4)
    queue = fair_queue(busy, waiting=(QueueKey(BOB),))
    assert ask(queue, busy, depths={QueueKey(BOB): 500}) == Forecast(6, SlotId("gpu"))


def test_users_take_turns_so_that_the_third_job_waits_for_jobs_of_the_others() -> None:
    busy = slot("gpu", runs=BOB, ran_s=10)
    keys = (QueueKey(BOB), QueueKey(EVE), KEY)
    found = ask(fair_queue(busy, waiting=keys), busy, ahead=2, depths={QueueKey(BOB): 50, QueueKey(EVE): 50, KEY: 3})
    assert found is not None
    assert 50 <= found.start_s <= 90, "two jobs of each user, and less than what waits"


def test_only_slots_that_can_run_the_job_count() -> None:
    own, other = slot("gpu"), slot("comfy", engine=COMFYUI, runs=BOB, ran_s=4)
    key = QueueKey(ANN, ANY, frozenset({COMFYUI}))
    assert ask(fair_queue(other), own, other, key=key) == Forecast(6, SlotId("comfy"))
    assert ask(FairQueue(), own, key=key) is None, "no slot can ever run it"
    large = QueueKey(ANN, Pool("large"), frozenset({OWN}))
    assert ask(FairQueue(), own, slot("big", labels="large"), key=large) == Forecast(0, SlotId("big"))


def test_the_usual_duration_of_each_users_jobs_counts() -> None:
    busy = slot("gpu", runs=BOB, ran_s=4)
    queue = fair_queue(busy)
    queue.start(BOB, JobId("earlier"), now_s=0)
    queue.end(BOB, JobId("earlier"), now_s=60)
    assert ask(queue, busy, run_s=None) == Forecast(56, SlotId("gpu"))


def test_nothing_is_said_where_no_duration_is_known() -> None:
    busy = slot("gpu", runs=BOB, ran_s=4)
    assert ask(fair_queue(busy), busy, run_s=None) is None


def test_a_user_at_the_limit_of_running_jobs_waits_for_their_own_end() -> None:
    mine, free = slot("a", runs=ANN, ran_s=4), slot("b")
    assert ask(fair_queue(mine), mine, free, at_limit={ANN: {KEY}}) == Forecast(6, SlotId("b"))


def test_a_forecast_of_a_very_long_queue_follows_from_the_shares_of_its_users() -> None:
    owners = [UserId(f"user {number}") for number in range(1000)]
    queue = FairQueue()
    for owner in (ANN, *owners):
        queue.add(QueueKey(owner), now_s=0)
    slots = [slot(f"gpu {number}") for number in range(20)]
    found = ask(queue, *slots, ahead=4000, depths={QueueKey(owner): 1000 for owner in (ANN, *owners)})
    expected_s = (4000 + 1000 * 1000) * 10 / 20
    assert found == Forecast(pytest.approx(expected_s), None), "no other user wants more than 1,000 jobs"
    alone = ask(FairQueue(), slot("gpu"), ahead=50_000, depths={KEY: 50_001})
    assert alone == Forecast(pytest.approx(500_000, rel=0.01), None)
