"""Limits that end a job that would occupy its worker forever."""

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
from safelight.dispatch.attempts.run_limits import Limits
from safelight.services import user as users
from safelight.wire import messages as wire

pytestmark = pytest.mark.anyio


async def test_a_job_that_exceeds_its_run_limit_fails_and_is_not_tried_again(tmp_path: Path) -> None:
    async with running(tmp_path, limits=Limits(run_s=60)) as env:
        await env.submit(ANNA, "a")
        order = await env.order("a")
        env.say(order, report(CallStarted(call=call("2")), **of(order)))
        await env.clock.until_asleep(1)
        env.clock.pass_s(59)
        await env.settle()
        assert not env.sent(wire.CancelJob)
        env.clock.pass_s(1)
        await env.until(lambda: bool(env.sent(wire.CancelJob)))
        await env.clock.until_asleep(1)
        env.clock.pass_s(GRACE_S)  # the job does not stop by itself
        ended = await env.end("a")
        assert ended.state is JobState.FAILED
        assert ended.error is not None
        assert (ended.error.exception_type, ended.error.node_id) == ("RunLimitExceeded", "2")
        assert "run limit of 60 s" in ended.error.exception_message
        assert len(env.orders) == 1
        await env.submit(ANNA, "b")
        await env.order("b")  # the slot continues


async def test_a_job_that_stops_softly_keeps_its_engine(tmp_path: Path) -> None:
    async with running(tmp_path, limits=Limits(run_s=60)) as env:
        await env.submit(ANNA, "a")
        order = await env.order("a")
        await env.clock.until_asleep(1)
        env.clock.pass_s(60)
        await env.until(lambda: bool(env.sent(wire.CancelJob)))
        env.say(order, done(order, JobState.CANCELLED))
        ended = await env.end("a")
        assert (ended.state, ended.error is not None and ended.error.exception_type) == (
            JobState.FAILED,
            "RunLimitExceeded",
        )
        assert env.backend.engines[S0] == 1


async def test_a_job_that_completes_meanwhile_is_completed(tmp_path: Path) -> None:
    async with running(tmp_path, limits=Limits(run_s=60)) as env:
        await env.submit(ANNA, "a")
        order = await env.order("a")
        await env.clock.until_asleep(1)
        env.clock.pass_s(60)
        await env.until(lambda: bool(env.sent(wire.CancelJob)))
        env.say(order, done(order))
        assert (await env.end("a")).state is JobState.COMPLETED


async def test_the_limits_of_a_user_and_of_a_pool_override_the_servers(tmp_path: Path) -> None:
    limits = Limits(run_s=60, pools={LARGE: 600.0})
    async with running(tmp_path, slots=2, labels={S1: frozenset([LARGE])}, limits=limits) as env:
        await env.db.write(lambda tx: users.add(tx, name="carla", is_admin=False, now=env.clock.now()))
        carla = (await env.db.write(lambda tx: users.set_quota(tx, name="carla", quota=Quota(run_limit_s=5)))).principal
        await env.submit(ANNA, "large", **needs(pool=LARGE))
        await env.order("large")
        await env.submit(carla, "short")
        await env.order("short")
        await env.clock.until_asleep(2)
        env.clock.pass_s(5)
        await env.clock.until_asleep(2)
        env.clock.pass_s(GRACE_S)
        short = await env.end("short")
        assert short.error is not None
        assert "run limit of 5 s" in short.error.exception_message
        await env.submit(BEN, "other")
        await env.order("other")
        await env.clock.until_asleep(2)
        env.clock.pass_s(60)
        await env.clock.until_asleep(2)
        env.clock.pass_s(GRACE_S)
        assert "run limit of 60 s" in str((await env.end("other")).error)
        assert (await env.job(ANNA, JobId("large"))).summary.state is JobState.RUNNING
        env.clock.pass_s(600)
        await env.clock.until_asleep(1)
        env.clock.pass_s(GRACE_S)
        assert "run limit of 600 s" in str((await env.end("large")).error)


async def test_an_unresponsive_node_ends_its_job_and_one_that_reports_does_not(tmp_path: Path) -> None:
    async with running(tmp_path, limits=Limits(silent_node_s=100)) as env:
        await env.submit(ANNA, "a")
        order = await env.order("a")
        env.say(order, report(CallStarted(call=call("1")), **of(order)))
        for step in range(5):
            await env.clock.until_asleep(1)
            env.clock.pass_s(60)
            env.say(order, report(CallProgressed(call=call("1"), value=step, total=9), **of(order)))
            await env.settle()
        env.say(order, report(CallFinished(call=call("1")), **of(order)))
        await env.settle()
        await env.clock.until_asleep(1)
        env.clock.pass_s(150)  # no node runs
        await env.settle()
        env.say(order, report(CallStarted(call=call("2")), **of(order)))
        await env.settle()
        assert not env.sent(wire.CancelJob)
        while not env.sent(wire.CancelJob):
            await env.clock.until_asleep(1)
            env.clock.pass_s(100)
            await env.settle()
        await env.clock.until_asleep(1)
        env.clock.pass_s(GRACE_S)
        error = (await env.end("a")).error
        assert error is not None
        assert (error.exception_type, error.node_id, error.node_type) == ("NodeSilent", "2", "Save")
        assert "100 s" in error.exception_message
