"""Pools, warm models and gates, from the queue to the slots."""

from pathlib import Path
from typing import Any

import pytest
from tests.database import ANNA, BEN
from tests.dispatch.harness import Harness, at_once, done, running

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


async def set_queue(env: Harness, mode: QueueGate) -> None:
    await env.db.write(lambda tx: gates.set_queue(tx, ROOT, mode=mode))


async def set_slot(env: Harness, slot: SlotId, mode: SlotGate) -> None:
    await env.db.write(lambda tx: gates.set_slot(tx, ROOT, slot=slot, mode=mode))


def states(env: Harness) -> dict[SlotId, SlotState]:
    return {slot.id: slot.state for slot in env.dispatcher.access.slots()}


async def all_ready(env: Harness) -> None:
    await env.until(lambda: SlotState.STARTING not in states(env).values())


def needs(*models: str, pool: Pool = ANY) -> dict[str, Any]:
    return {"placement": Placement(pool, models)}


async def test_a_job_of_a_pool_runs_on_its_label_and_delays_no_other(tmp_path: Path) -> None:
    async with running(tmp_path, slots=2, labels={S1: frozenset([LARGE])}) as env:
        await all_ready(env)
        await env.submit(ANNA, "big", **needs(pool=LARGE))
        await env.submit(ANNA, "big too", **needs(pool=LARGE))
        await env.submit(ANNA, "small")
        big, small = await env.order("big"), await env.order("small")
        assert (env.slot_of(big), env.slot_of(small)) == (S1, S0)
        env.say(small, done(small))
        await env.end("small")
        await env.settle()
        assert [order.job_id for order in env.orders] == ["big", "small"]
        env.say(big, done(big))
        assert env.slot_of(await env.order("big too")) == S1


async def test_a_job_goes_to_the_slot_that_ran_its_models_before(tmp_path: Path) -> None:
    async with running(tmp_path, slots=3, affinity_wait_s=5.0) as env:
        await all_ready(env)
        orders = [await env.order(await env.submit(ANNA, name, **needs(name))) for name in "abc"]
        for order in orders:
            env.say(order, done(order))
            await env.end(order.job_id)
        again = [await env.order(await env.submit(BEN, f"again {name}", **needs(name))) for name in "cab"]
        assert [env.slot_of(order) for order in again] == [env.slot_of(orders[n]) for n in (2, 0, 1)]


async def test_a_job_waits_for_its_busy_slot_only_for_a_while(tmp_path: Path) -> None:
    async with running(tmp_path, slots=2, affinity_wait_s=5.0) as env:
        await all_ready(env)
        first = await env.order(await env.submit(ANNA, "first", **needs("m")))
        await env.submit(BEN, "second", **needs("m"))
        await env.clock.until_asleep(1)
        assert [order.job_id for order in env.orders] == ["first"]
        env.clock.pass_s(5.0)
        assert env.slot_of(await env.order("second")) != env.slot_of(first)


async def test_a_paused_queue_keeps_its_jobs_over_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path, script=at_once) as env:
        await set_queue(env, QueueGate.PAUSED)
        await env.submit(ANNA, "a")
        await env.settle()
        await env.dispatcher.stop()
        env.dispatcher = env.new_dispatcher()
        await env.dispatcher.start()
        await all_ready(env)
        await env.settle()
        assert env.orders == []
        await set_queue(env, QueueGate.OPEN)
        await env.end("a")


async def test_a_draining_queue_runs_queued_jobs(tmp_path: Path) -> None:
    async with running(tmp_path) as env:
        first = await env.order(await env.submit(ANNA, "a"))
        await env.submit(ANNA, "b")
        await set_queue(env, QueueGate.DRAINING)
        env.say(first, done(first))
        await env.order("b")


async def test_a_paused_slot_gets_no_job_and_keeps_its_engine(tmp_path: Path) -> None:
    async with running(tmp_path, slots=2, script=at_once) as env:
        await all_ready(env)
        await set_slot(env, S0, SlotGate.PAUSED)
        for name in "abc":
            await env.submit(ANNA, name)
            await env.end(name)
        assert {env.slot_of(order) for order in env.orders} == {S1}
        assert states(env)[S0] is SlotState.IDLE


async def test_a_drained_slot_ends_its_job_and_then_its_engine_until_it_is_opened(tmp_path: Path) -> None:
    async with running(tmp_path) as env:
        order = await env.order(await env.submit(ANNA, "a"))
        await set_slot(env, S0, SlotGate.DRAINED)
        await env.submit(ANNA, "b")
        assert states(env)[S0] is SlotState.RUNNING
        env.say(order, done(order))
        await env.end("a")
        await env.until(lambda: states(env)[S0] is SlotState.DRAINED)
        await env.dispatcher.stop()
        env.dispatcher = env.new_dispatcher()
        await env.dispatcher.start()  # it is still drained after a restart
        await env.until(lambda: states(env)[S0] is SlotState.DRAINED)
        assert [order.job_id for order in env.orders] == ["a"]
        await set_slot(env, S0, SlotGate.OPEN)
        await env.order("b")


async def test_drain_now_requeues_jobs_and_costs_no_retry(tmp_path: Path) -> None:
    async with running(tmp_path, slots=2) as env:
        await all_ready(env)
        for name in "ab":
            await env.submit(ANNA, name)
            await env.order(name)
        drained, other = env.slot_of(await env.order("a")), env.slot_of(await env.order("b"))
        await env.db.write(lambda tx: gates.set_slot(tx, ROOT, slot=drained, mode=SlotGate.DRAINED, is_at_once=True))
        await env.until(lambda: states(env)[drained] is SlotState.DRAINED)
        job = (await env.job(ANNA, JobId("a"))).summary
        assert (job.state, job.attempt, job.releases) == (JobState.QUEUED, 1, 1)
        assert states(env)[other] is SlotState.RUNNING
        env.say(await env.order("b"), done(await env.order("b")))
        again = await env.order("a", attempt=2)
        assert env.slot_of(again) == other


async def test_a_queue_that_is_closed_now_runs_nothing_until_it_is_opened(tmp_path: Path) -> None:
    async with running(tmp_path) as env:
        await env.submit(ANNA, "a")
        await env.order("a")
        await env.db.write(lambda tx: gates.set_queue(tx, ROOT, mode=QueueGate.CLOSED, is_at_once=True))
        await env.until(lambda: states(env) == {S0: SlotState.IDLE})
        with pytest.raises(Unavailable):
            await env.submit(ANNA, "b")
        await env.settle()
        assert len(env.orders) == 1
        await set_queue(env, QueueGate.OPEN)
        again = await env.order("a", attempt=2)
        env.say(again, done(again))
        assert (await env.end("a")).state is JobState.COMPLETED
