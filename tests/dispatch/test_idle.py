"""Idle scale-down: slots that stop while there is no work."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from tests.database import ANNA
from tests.dispatch.harness import Harness, done, make_harness, running
from tests.dispatch.test_scheduling import LARGE, S0, S1, needs, set_queue, set_slot, states

from safelight.core.engine_kind import OWN, EngineKind
from safelight.core.gate import QueueGate
from safelight.core.pool import ANY, Capabilities, Pool, Requirements
from safelight.core.worker import SlotGate, SlotId, SlotState
from safelight.db.engine import Database, Transaction
from safelight.dispatch.backends.fake import Crash
from safelight.dispatch.scheduling.slots_to_start import slots_to_start
from safelight.services import attempt as attempts
from safelight.wire import messages as wire

pytestmark = pytest.mark.anyio

S2 = SlotId("s2")
IDLE_S = 60.0
IDLE, STOPPED, RUNNING = SlotState.IDLE, SlotState.STOPPED, SlotState.RUNNING
NONE: frozenset[Pool] = frozenset()


@pytest.mark.parametrize(
    ("waiting", "free", "stopped", "expected"),
    [
        ({}, [], {S0: NONE}, []),
        ({ANY: 1}, [], {S0: NONE, S1: NONE}, [S0]),
        ({ANY: 2}, [NONE], {S0: NONE, S1: NONE}, [S0]),
        ({ANY: 9}, [NONE], {S0: NONE, S1: NONE}, [S0, S1]),
        ({LARGE: 1}, [NONE], {S0: NONE, S1: frozenset([LARGE])}, [S1]),
        ({LARGE: 1, ANY: 1}, [], {S0: frozenset([LARGE]), S1: NONE}, [S0, S1]),
        ({LARGE: 1, ANY: 1}, [frozenset([LARGE])], {S0: frozenset([LARGE]), S1: NONE}, [S0]),
        ({LARGE: 2}, [frozenset([LARGE])], {S0: NONE}, []),
    ],
)
def test_as_many_slots_start_as_jobs_are_queued(
    waiting: dict[Pool, int],
    free: list[frozenset[Pool]],
    stopped: dict[SlotId, frozenset[Pool]],
    expected: list[SlotId],
) -> None:
    found = slots_to_start(
        {Requirements(pool): count for pool, count in waiting.items()},
        free=[Capabilities(labels) for labels in free],
        stopped={slot: Capabilities(labels) for slot, labels in stopped.items()},
    )
    assert found == expected


def test_slots_of_the_engines_that_can_run_the_waiting_jobs_start() -> None:
    comfyui = EngineKind("comfyui")
    both = frozenset([OWN, comfyui])
    stopped = {S0: Capabilities(), S1: Capabilities(engine=comfyui)}
    only = Requirements(engines=frozenset([comfyui]))
    assert slots_to_start({only: 2}, free=[], stopped=stopped) == [S1]
    assert slots_to_start({Requirements(engines=both): 1}, free=[], stopped=stopped) == [S0]
    assert slots_to_start({Requirements(engines=both): 1, only: 1}, free=[], stopped=stopped) == [S0, S1]
    assert slots_to_start({only: 1}, free=[Capabilities()], stopped=stopped) == [S1]
    assert slots_to_start({only: 1}, free=[Capabilities(engine=comfyui)], stopped=stopped) == []


async def until(env: Harness, **expected: SlotState) -> None:
    await env.until(lambda: {str(slot): state for slot, state in states(env).items()} == expected)


async def finish(env: Harness, *names: str) -> None:
    for name in names:
        order = await env.order(name)
        env.say(order, done(order))
        await env.end(name)


async def test_slots_start_for_waiting_jobs_and_stop_when_there_are_none(tmp_path: Path) -> None:
    async with running(tmp_path, slots=3, idle_timeout_s=IDLE_S) as env:
        await until(env, s0=IDLE, s1=STOPPED, s2=STOPPED)  # one reports the nodes
        for name in "ab":
            await env.submit(ANNA, name)
        await until(env, s0=RUNNING, s1=RUNNING, s2=STOPPED)
        await finish(env, "a", "b")
        await until(env, s0=IDLE, s1=IDLE, s2=STOPPED)
        env.clock.pass_s(IDLE_S - 1)
        await env.submit(ANNA, "c")  # the slot that takes it is idle only since then
        await finish(env, "c")
        env.clock.pass_s(2)
        await env.until(lambda: list(states(env).values()).count(STOPPED) == 2)
        env.clock.pass_s(IDLE_S)
        await until(env, s0=STOPPED, s1=STOPPED, s2=STOPPED)
        assert len(env.dispatcher.access.engines()) == 2  # their devices are still the same
        await env.submit(ANNA, "d")
        await env.order("d")
        await env.until(lambda: list(states(env).values()).count(STOPPED) == 2)


async def test_the_minimum_keeps_running(tmp_path: Path) -> None:
    async with running(tmp_path, slots=3, idle_timeout_s=IDLE_S, min_running=2) as env:
        await until(env, s0=IDLE, s1=IDLE, s2=STOPPED)
        for _ in range(3):
            env.clock.pass_s(IDLE_S)
            await env.settle()
        await until(env, s0=IDLE, s1=IDLE, s2=STOPPED)


async def test_a_job_of_a_pool_starts_a_slot_of_that_pool(tmp_path: Path) -> None:
    labels = {S2: frozenset([LARGE])}
    async with running(tmp_path, slots=3, idle_timeout_s=IDLE_S, labels=labels) as env:
        await until(env, s0=IDLE, s1=STOPPED, s2=STOPPED)
        await env.submit(ANNA, "large", **needs(pool=LARGE))
        assert env.slot_of(await env.order("large")) == S2
        await until(env, s0=IDLE, s1=STOPPED, s2=RUNNING)


async def test_no_slot_starts_behind_a_gate(tmp_path: Path) -> None:
    async with running(tmp_path, slots=2, idle_timeout_s=IDLE_S) as env:
        await until(env, s0=IDLE, s1=STOPPED)
        await set_queue(env, QueueGate.PAUSED)
        for name in "ab":
            await env.submit(ANNA, name)
        await env.settle()
        assert states(env) == {S0: IDLE, S1: STOPPED}
        await set_slot(env, S1, SlotGate.DRAINED)
        await set_queue(env, QueueGate.OPEN)
        await env.order("a")
        await env.settle()
        assert states(env) == {S0: RUNNING, S1: SlotState.DRAINED}
        await set_slot(env, S1, SlotGate.OPEN)
        await until(env, s0=RUNNING, s1=RUNNING)
        await finish(env, "a", "b")


async def test_a_paused_slot_keeps_its_engine(tmp_path: Path) -> None:
    async with running(tmp_path, idle_timeout_s=IDLE_S) as env:
        await until(env, s0=IDLE)
        await set_slot(env, S0, SlotGate.PAUSED)
        await env.settle()
        for _ in range(3):
            env.clock.pass_s(IDLE_S)
            await env.settle()
        assert states(env) == {S0: IDLE}
        await set_slot(env, S0, SlotGate.OPEN)
        await env.settle()
        env.clock.pass_s(IDLE_S)
        await until(env, s0=STOPPED)


async def test_a_job_whose_worker_died_starts_another(tmp_path: Path) -> None:
    died: list[str] = []

    def dies_once(message: wire.ToEngine) -> list[wire.ToServer | Crash]:
        if isinstance(message, wire.RunJob) and not died:
            died.append(message.job_id)
            return [Crash("died")]
        return []

    async with running(tmp_path, slots=2, idle_timeout_s=IDLE_S, script=dies_once) as env:
        await until(env, s0=IDLE, s1=STOPPED)
        await env.submit(ANNA, "a")
        order = await env.order("a", attempt=2)
        env.say(order, done(order))
        await env.end("a")


class LateCounts:
    """A database that delays counts of waiting jobs. Mutable: whether it does."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.may_answer = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    async def read(self, fn: Callable[[Transaction], Any]) -> Any:
        found = await self._db.read(fn)
        if fn is attempts.depths:
            await self.may_answer.wait()
        return found


async def test_a_job_that_was_counted_before_its_claim_starts_one_slot(tmp_path: Path) -> None:
    async with make_harness(tmp_path, slots=3, idle_timeout_s=IDLE_S) as env:
        counts = LateCounts(env.db)
        env.db = cast(Database, counts)
        env.dispatcher = env.new_dispatcher()
        await env.dispatcher.start()
        try:
            await until(env, s0=IDLE, s1=STOPPED, s2=STOPPED)
            await env.submit(ANNA, "a")  # is counted, and claimed before the count arrives
            await env.order("a")
            counts.may_answer.set()
            await env.settle()
            await until(env, s0=RUNNING, s1=STOPPED, s2=STOPPED)
            counts.may_answer.clear()
            await env.submit(ANNA, "b")
            await env.submit(ANNA, "c")  # is submitted while the first count is in progress
            await env.settle()
            counts.may_answer.set()
            await until(env, s0=RUNNING, s1=RUNNING, s2=RUNNING)
        finally:
            await env.dispatcher.stop()
