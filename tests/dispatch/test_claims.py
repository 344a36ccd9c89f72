"""Claims: a slot begins its job before the claim is on the disk, and nobody hears of it until then."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.database import ANNA, BEN
from tests.dispatch.harness import Harness, call, done, make_harness, of, running
from tests.events import output, report
from tests.faults.simulation import kill

from safelight.core.errors import Unavailable
from safelight.core.event import CallStarted, JobEnded, JobStarted
from safelight.core.ids import JobId
from safelight.core.job import JobState
from safelight.core.worker import SlotId
from safelight.db.transaction import Transaction
from safelight.wire import messages as wire

pytestmark = pytest.mark.anyio

S0 = SlotId("s0")


class Disk:
    """Holds the writer inside a group, before its commit; then lets it commit, or fail."""

    def __init__(self, env: Harness) -> None:
        self._env = env
        self._first, self._last = threading.Event(), threading.Event()
        self.fails = False
        self.synchronous = -1  # of the group: SQLite's mode, 2 for an fsync of the log with its commit
        env.db.enqueue(lambda tx: self._first.wait(60))

    async def hold(self) -> None:
        """The writes that were enqueued since this was made run now, in one group, and wait for their commit."""
        self._env.db.enqueue(self._wait).add_done_callback(lambda future: future.exception())
        self._first.set()
        await asyncio.sleep(0)

    def let_go(self, *, fails: bool = False) -> None:
        self.fails = fails
        self._last.set()

    def _wait(self, tx: Transaction) -> None:
        self._last.wait(60)
        self.synchronous = tx.conn.exec_driver_sql("PRAGMA synchronous").scalar_one()
        if self.fails:
            tx.conn.exec_driver_sql("ROLLBACK")
            raise Unavailable("the disk failed")


@asynccontextmanager
async def between_two_jobs(folder: Path, **words: object) -> AsyncIterator[tuple[Harness, Disk, wire.RunJob]]:
    """Job a of Anna has ended, and job b of Ben is claimed; neither is on the disk yet. The order of a."""
    async with running(folder, **words) as env:
        await env.submit(ANNA, "a")
        order = await env.order("a")
        await env.submit(BEN, "b")
        disk = Disk(env)
        env.say(order, done(order))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await disk.hold()
        try:
            yield env, disk, order
        finally:
            disk.let_go()


async def until_ordered(env: Harness, job_id: str, *, count: int = 1) -> wire.RunJob:
    """Like ``Harness.order``, without a write, for which a held writer has no time."""
    async with asyncio.timeout(60):
        while sum(order.job_id == job_id for order in env.orders) < count:  # noqa: ASYNC110 - a list
            await asyncio.sleep(0.001)
    return [order for order in env.orders if order.job_id == job_id][-1]


def started(env: Harness) -> list[str]:
    return [event.job_id for event in env.events if isinstance(event, JobStarted)]


async def test_a_slot_begins_the_next_job_while_the_disk_is_written(tmp_path: Path) -> None:
    async with between_two_jobs(tmp_path) as (env, disk, _):
        order = await until_ordered(env, "b")
        env.say(order, report(CallStarted(call=call("2")), **of(order)))
        await asyncio.sleep(0.05)
        assert started(env) == ["a"], "what is not on the disk is not told"
        assert not any(isinstance(event, JobEnded) for event in env.events)
        disk.let_go()
        await env.until(lambda: "CallStarted" in env.of_job("b"))
        assert env.of_job("b") == ["JobQueued", "JobStarted", "CallStarted"]
        env.say(order, done(order))
        assert (await env.end("b")).state is JobState.COMPLETED


async def test_a_job_that_ends_before_its_claim_is_on_the_disk_ends_once(tmp_path: Path) -> None:
    async with between_two_jobs(tmp_path) as (env, disk, _):
        order = await until_ordered(env, "b")
        env.say(order, output(**of(order), call=call("2"), ui={"text": ["b"]}))
        env.say(order, done(order))
        await asyncio.sleep(0.02)
        disk.let_go()
        assert (await env.end("b")).state is JobState.COMPLETED
        assert env.of_job("b") == ["JobQueued", "JobStarted", "OutputMade", "JobEnded"]


async def test_a_claim_that_cannot_be_saved_costs_its_job_no_attempt(tmp_path: Path) -> None:
    async with between_two_jobs(tmp_path) as (env, disk, _):
        first = await until_ordered(env, "b")
        env.say(first, done(first))  # of a run that never was
        disk.let_go(fails=True)
        await env.clock.until_asleep(1)
        for _ in range(8):
            env.clock.pass_s(5)
            await env.settle()
        again = await until_ordered(env, "b", count=2)
        assert (again.attempt, env.backend.engines[S0]) == (1, 2), "the same attempt, on a fresh engine"
        assert (await env.end("a")).state is JobState.COMPLETED
        assert not [event for event in env.events if isinstance(event, JobEnded) and event.job_id == "b"]
        env.say(again, done(again))
        assert (await env.end("b")).state is JobState.COMPLETED
        assert started(env) == ["a", "b"]


async def test_an_end_is_told_after_a_commit_that_syncs_the_disk(tmp_path: Path) -> None:
    """A power cut cannot take back what was told: neither the end, nor the start of the next job."""
    async with between_two_jobs(tmp_path) as (env, disk, _):
        await until_ordered(env, "b")
        assert not any(isinstance(event, JobEnded) for event in env.events)
        disk.let_go()
        assert (await env.end("a")).state is JobState.COMPLETED
        assert disk.synchronous == 2
        await env.until(lambda: started(env) == ["a", "b"])


async def test_slots_begin_together_and_share_a_commit(tmp_path: Path) -> None:
    async with running(tmp_path, slots=3) as env:
        await env.until(lambda: len(env.ready) == 3)
        disk = Disk(env)
        jobs = [asyncio.create_task(env.submit(ANNA, f"j{n}")) for n in range(3)]
        await asyncio.sleep(0)
        disk.let_go()
        await disk.hold()
        await asyncio.gather(*jobs)
        later = Disk(env)
        await later.hold()
        later.let_go()
        for n in range(3):
            await until_ordered(env, f"j{n}")
        assert {env.slot_of(order) for order in env.orders} == {"s0", "s1", "s2"}


async def test_a_cancel_while_the_claim_is_written_ends_the_job(tmp_path: Path) -> None:
    async with between_two_jobs(tmp_path) as (env, disk, _):
        order = await until_ordered(env, "b")
        cancelling = asyncio.create_task(env.cancel(BEN, order.job_id))
        await asyncio.sleep(0)
        disk.let_go()
        assert await cancelling
        await env.until(lambda: bool(env.sent(wire.CancelJob)))
        env.say(order, done(order, JobState.CANCELLED))
        assert (await env.end("b")).state is JobState.CANCELLED


async def test_a_cancel_before_the_claim_leaves_the_slot_to_the_next_job(tmp_path: Path) -> None:
    async with running(tmp_path) as env:
        await env.submit(ANNA, "a")
        order = await env.order("a")
        await env.submit(BEN, "b")
        await env.submit(BEN, "c")
        disk = Disk(env)
        cancelling = asyncio.create_task(env.cancel(BEN, JobId("b")))
        await asyncio.sleep(0)
        env.say(order, done(order))
        await asyncio.sleep(0)
        await disk.hold()
        disk.let_go()
        assert await cancelling
        await until_ordered(env, "c")
        assert not any(order.job_id == "b" for order in env.orders)


async def test_a_server_that_dies_before_the_claim_is_on_the_disk_leaves_the_job_in_the_queue(tmp_path: Path) -> None:
    async with make_harness(tmp_path) as env:
        await env.dispatcher.start()
        await env.submit(ANNA, "a")
        order = await env.order("a")
        await env.submit(BEN, "b")
        disk = Disk(env)
        env.say(order, done(order))
        await asyncio.sleep(0)
        await disk.hold()
        await until_ordered(env, "b")
        await kill(env.dispatcher)
        await env.backend.stop()
        disk.let_go(fails=True)
        await env.settle()
        assert (await env.job(BEN, JobId("b"))).summary.state is JobState.QUEUED
        env.dispatcher = env.new_dispatcher()
        await env.dispatcher.start()
        retried = await until_ordered(env, "a", count=2)
        assert retried.attempt == 2, "its end was never told, and its server died"
        env.say(retried, done(retried))
        again = await until_ordered(env, "b", count=2)
        assert again.attempt == 1, "the attempt that nobody heard of costs nothing"
        await env.dispatcher.stop()


async def test_engines_that_outlive_their_server_begin_after_the_commit(tmp_path: Path) -> None:
    async with between_two_jobs(tmp_path, engines={"detached_s": 30.0}) as (env, disk, _):
        await asyncio.sleep(0.05)
        assert [order.job_id for order in env.orders] == ["a"]
        disk.let_go()
        await until_ordered(env, "b")


async def test_a_newcomer_is_next_however_many_jobs_of_another_user_wait(tmp_path: Path) -> None:
    """Promise 8: the choice is made at the end of a job, not while it runs."""
    async with running(tmp_path) as env:
        for name in ("a", "a2", "a3"):
            await env.submit(ANNA, name)
        order = await env.order("a")
        env.clock.pass_s(10)
        await env.submit(BEN, "b")
        env.say(order, done(order))
        await until_ordered(env, "b")
        assert [order.job_id for order in env.orders] == ["a", "b"]
