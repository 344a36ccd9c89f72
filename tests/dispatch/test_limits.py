"""Limits that end a job which would hold its worker for ever."""

from pathlib import Path

import pytest
from tests.database import ANNA, BEN
from tests.dispatch.harness import GRACE_S, call, done, of, running
from tests.dispatch.test_scheduling import LARGE, S0, S1, needs
from tests.events import report

from safelight.core.event import CallFinished, CallProgressed, CallStarted
from safelight.core.ids import JobId
from safelight.core.job import JobState
from safelight.core.user import Quota
from safelight.dispatch.attempts.limits import Limits
from safelight.services import user as users
from safelight.wire import messages as wire

pytestmark = pytest.mark.anyio


async def test_a_job_that_exceeds_its_run_limit_fails_and_is_not_tried_again(tmp_path: Path) -> None:
    async with running(tmp_path, limits=Limits(run_s=60)) as it:
        await it.submit(ANNA, "a")
        order = await it.order("a")
        it.say(order, report(CallStarted(call=call("2")), **of(order)))
        await it.clock.until_asleep(1)
        it.clock.pass_s(59)
        await it.settle()
        assert not it.sent(wire.CancelJob)
        it.clock.pass_s(1)
        await it.until(lambda: bool(it.sent(wire.CancelJob)))
        await it.clock.until_asleep(1)
        it.clock.pass_s(GRACE_S)  # it does not stop by itself
        ended = await it.end("a")
        assert ended.state is JobState.FAILED
        assert ended.error is not None
        assert (ended.error.exception_type, ended.error.node_id) == ("RunLimitExceeded", "2")
        assert "run limit of 60 s" in ended.error.exception_message
        assert len(it.orders) == 1
        await it.submit(ANNA, "b")
        await it.order("b")  # the slot goes on


async def test_a_job_that_stops_softly_keeps_its_engine(tmp_path: Path) -> None:
    async with running(tmp_path, limits=Limits(run_s=60)) as it:
        await it.submit(ANNA, "a")
        order = await it.order("a")
        await it.clock.until_asleep(1)
        it.clock.pass_s(60)
        await it.until(lambda: bool(it.sent(wire.CancelJob)))
        it.say(order, done(order, JobState.CANCELLED))
        ended = await it.end("a")
        assert (ended.state, ended.error is not None and ended.error.exception_type) == (
            JobState.FAILED,
            "RunLimitExceeded",
        )
        assert it.backend.engines[S0] == 1


async def test_a_job_that_completes_meanwhile_is_completed(tmp_path: Path) -> None:
    async with running(tmp_path, limits=Limits(run_s=60)) as it:
        await it.submit(ANNA, "a")
        order = await it.order("a")
        await it.clock.until_asleep(1)
        it.clock.pass_s(60)
        await it.until(lambda: bool(it.sent(wire.CancelJob)))
        it.say(order, done(order))
        assert (await it.end("a")).state is JobState.COMPLETED


async def test_the_limits_of_a_user_and_of_a_pool_go_before_the_servers(tmp_path: Path) -> None:
    limits = Limits(run_s=60, pools={LARGE: 600.0})
    async with running(tmp_path, slots=2, labels={S1: frozenset([LARGE])}, limits=limits) as it:
        await it.db.write(lambda tx: users.add(tx, name="carla", is_admin=False, now=it.clock.now()))
        carla = (await it.db.write(lambda tx: users.set_quota(tx, name="carla", quota=Quota(run_limit_s=5)))).principal
        await it.submit(ANNA, "large", **needs(pool=LARGE))
        await it.order("large")
        await it.submit(carla, "short")
        await it.order("short")
        await it.clock.until_asleep(2)
        it.clock.pass_s(5)
        await it.clock.until_asleep(2)
        it.clock.pass_s(GRACE_S)
        short = await it.end("short")
        assert short.error is not None
        assert "run limit of 5 s" in short.error.exception_message
        await it.submit(BEN, "other")
        await it.order("other")
        await it.clock.until_asleep(2)
        it.clock.pass_s(60)
        await it.clock.until_asleep(2)
        it.clock.pass_s(GRACE_S)
        assert "run limit of 60 s" in str((await it.end("other")).error)
        assert (await it.job(ANNA, JobId("large"))).summary.state is JobState.RUNNING
        it.clock.pass_s(600)
        await it.clock.until_asleep(1)
        it.clock.pass_s(GRACE_S)
        assert "run limit of 600 s" in str((await it.end("large")).error)


async def test_a_node_that_is_silent_ends_its_job_and_one_that_reports_does_not(tmp_path: Path) -> None:
    async with running(tmp_path, limits=Limits(silent_node_s=100)) as it:
        await it.submit(ANNA, "a")
        order = await it.order("a")
        it.say(order, report(CallStarted(call=call("1")), **of(order)))
        for step in range(5):
            await it.clock.until_asleep(1)
            it.clock.pass_s(60)
            it.say(order, report(CallProgressed(call=call("1"), value=step, total=9), **of(order)))
            await it.settle()
        it.say(order, report(CallFinished(call=call("1")), **of(order)))
        await it.settle()
        await it.clock.until_asleep(1)
        it.clock.pass_s(150)  # no node runs
        await it.settle()
        it.say(order, report(CallStarted(call=call("2")), **of(order)))
        await it.settle()
        assert not it.sent(wire.CancelJob)
        while not it.sent(wire.CancelJob):
            await it.clock.until_asleep(1)
            it.clock.pass_s(100)
            await it.settle()
        await it.clock.until_asleep(1)
        it.clock.pass_s(GRACE_S)
        error = (await it.end("a")).error
        assert error is not None
        assert (error.exception_type, error.node_id, error.node_type) == ("NodeSilent", "2", "Save")
        assert "100 s" in error.exception_message
