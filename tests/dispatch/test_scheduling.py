"""Pools, warm models and gates, from the queue to the slots."""

from pathlib import Path
from typing import Any

import pytest
from tests.database import ANNA, BEN
from tests.dispatch.harness import Stage, at_once, done, running

from safelight.core.errors import Unavailable
from safelight.core.gate import QueueGate
from safelight.core.ids import JobId
from safelight.core.job import JobState
from safelight.core.pool import ANY, Pool
from safelight.core.user import Principal
from safelight.core.worker import SlotGate, SlotId, SlotState
from safelight.services import gate as gates
from safelight.services.placement import Placement

pytestmark = pytest.mark.anyio

ROOT = Principal(ANNA.user_id, is_admin=True)
LARGE = Pool("large")
S0, S1 = SlotId("s0"), SlotId("s1")


async def set_queue(it: Stage, mode: QueueGate) -> None:
    await it.db.write(lambda tx: gates.set_queue(tx, ROOT, mode=mode))


async def set_slot(it: Stage, slot: SlotId, mode: SlotGate) -> None:
    await it.db.write(lambda tx: gates.set_slot(tx, ROOT, slot=slot, mode=mode))


def states(it: Stage) -> dict[SlotId, SlotState]:
    return {slot.id: slot.state for slot in it.dispatcher.slots()}


async def all_ready(it: Stage) -> None:
    await it.until(lambda: SlotState.STARTING not in states(it).values())


def needs(*models: str, pool: Pool = ANY) -> dict[str, Any]:
    return {"placement": Placement(pool, models)}


async def test_a_job_of_a_pool_runs_where_its_label_is_and_holds_nobody_up(tmp_path: Path) -> None:
    async with running(tmp_path, slots=2, labels={S1: frozenset([LARGE])}) as it:
        await all_ready(it)
        await it.submit(ANNA, "big", **needs(pool=LARGE))
        await it.submit(ANNA, "big too", **needs(pool=LARGE))
        await it.submit(ANNA, "small")
        big, small = await it.order("big"), await it.order("small")
        assert (it.slot_of(big), it.slot_of(small)) == (S1, S0)
        it.say(small, done(small))
        await it.end("small")
        await it.settle()
        assert [order.job_id for order in it.orders] == ["big", "small"]
        it.say(big, done(big))
        assert it.slot_of(await it.order("big too")) == S1


async def test_a_job_goes_to_the_slot_that_ran_its_models_before(tmp_path: Path) -> None:
    async with running(tmp_path, slots=3, affinity_wait_s=5.0) as it:
        await all_ready(it)
        orders = [await it.order(await it.submit(ANNA, name, **needs(name))) for name in "abc"]
        for order in orders:
            it.say(order, done(order))
            await it.end(order.job_id)
        again = [await it.order(await it.submit(BEN, f"again {name}", **needs(name))) for name in "cab"]
        assert [it.slot_of(order) for order in again] == [it.slot_of(orders[n]) for n in (2, 0, 1)]


async def test_a_job_waits_for_its_busy_slot_and_then_waits_no_more(tmp_path: Path) -> None:
    async with running(tmp_path, slots=2, affinity_wait_s=5.0) as it:
        await all_ready(it)
        first = await it.order(await it.submit(ANNA, "first", **needs("m")))
        await it.submit(BEN, "second", **needs("m"))
        await it.clock.until_asleep(1)
        assert [order.job_id for order in it.orders] == ["first"]
        it.clock.pass_s(5.0)
        assert it.slot_of(await it.order("second")) != it.slot_of(first)


async def test_a_paused_queue_keeps_what_it_accepts_also_over_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path, script=at_once) as it:
        await set_queue(it, QueueGate.PAUSED)
        await it.submit(ANNA, "a")
        await it.settle()
        await it.dispatcher.stop()
        it.dispatcher = it.new_dispatcher()
        await it.dispatcher.start()
        await all_ready(it)
        await it.settle()
        assert it.orders == []
        await set_queue(it, QueueGate.OPEN)
        await it.end("a")


async def test_a_draining_queue_runs_what_waits(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        first = await it.order(await it.submit(ANNA, "a"))
        await it.submit(ANNA, "b")
        await set_queue(it, QueueGate.DRAINING)
        it.say(first, done(first))
        await it.order("b")


async def test_a_paused_slot_gets_no_job_and_keeps_its_engine(tmp_path: Path) -> None:
    async with running(tmp_path, slots=2, script=at_once) as it:
        await all_ready(it)
        await set_slot(it, S0, SlotGate.PAUSED)
        for name in "abc":
            await it.submit(ANNA, name)
            await it.end(name)
        assert {it.slot_of(order) for order in it.orders} == {S1}
        assert states(it)[S0] is SlotState.IDLE


async def test_a_drained_slot_ends_its_job_and_then_its_engine_until_it_is_opened(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        order = await it.order(await it.submit(ANNA, "a"))
        await set_slot(it, S0, SlotGate.DRAINED)
        await it.submit(ANNA, "b")
        assert states(it)[S0] is SlotState.RUNNING
        it.say(order, done(order))
        await it.end("a")
        await it.until(lambda: states(it)[S0] is SlotState.DRAINED)
        await it.dispatcher.stop()
        it.dispatcher = it.new_dispatcher()
        await it.dispatcher.start()  # a start finds it drained
        await it.until(lambda: states(it)[S0] is SlotState.DRAINED)
        assert [order.job_id for order in it.orders] == ["a"]
        await set_slot(it, S0, SlotGate.OPEN)
        await it.order("b")


async def test_drain_now_gives_the_jobs_back_and_costs_no_retry(tmp_path: Path) -> None:
    async with running(tmp_path, slots=2) as it:
        await all_ready(it)
        for name in "ab":
            await it.submit(ANNA, name)
            await it.order(name)
        drained, other = it.slot_of(await it.order("a")), it.slot_of(await it.order("b"))
        await it.db.write(lambda tx: gates.set_slot(tx, ROOT, slot=drained, mode=SlotGate.DRAINED, is_at_once=True))
        await it.until(lambda: states(it)[drained] is SlotState.DRAINED)
        job = (await it.job(ANNA, JobId("a"))).summary
        assert (job.state, job.attempt, job.releases) == (JobState.QUEUED, 1, 1)
        assert states(it)[other] is SlotState.RUNNING
        it.say(await it.order("b"), done(await it.order("b")))
        again = await it.order("a", attempt=2)
        assert it.slot_of(again) == other


async def test_a_queue_that_is_closed_now_runs_nothing_until_it_is_opened(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        await it.submit(ANNA, "a")
        await it.order("a")
        await it.db.write(lambda tx: gates.set_queue(tx, ROOT, mode=QueueGate.CLOSED, is_at_once=True))
        await it.until(lambda: states(it) == {S0: SlotState.IDLE})
        with pytest.raises(Unavailable):
            await it.submit(ANNA, "b")
        await it.settle()
        assert len(it.orders) == 1
        await set_queue(it, QueueGate.OPEN)
        again = await it.order("a", attempt=2)
        it.say(again, done(again))
        assert (await it.end("a")).state is JobState.COMPLETED
