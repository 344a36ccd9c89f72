"""Infrastructure failures: the job is requeued and keeps its retry, and a slot that keeps failing is shut."""

import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
from tests.database import ANNA, BEN
from tests.dispatch.harness import Harness, at_once, call, done, of, picture, running
from tests.dispatch.test_scheduling import S0, set_slot
from tests.events import report

from safelight.core.event import CallFinished, CallStarted, JobEnded
from safelight.core.ids import JobId
from safelight.core.job import JobState
from safelight.core.worker import SlotGate, SlotState, SlotStatus
from safelight.dispatch.attempts.infra_failures import FAILURES_TO_SHUT, SHUT_S
from safelight.dispatch.backends.fake import Crash
from safelight.wire import messages as wire

pytestmark = pytest.mark.anyio

REASON = "no space for the job's files"


def loses(message: wire.ToEngine) -> Iterable[wire.ToServer | Crash]:
    """An engine whose machine has a full disk."""
    if isinstance(message, wire.RunJob):
        yield wire.AttemptLost(**of(message), reason=REASON)


def status(env: Harness, slot: str = "s0") -> SlotStatus:
    return next(each for each in env.dispatcher.access.slots() if each.id == slot)


async def test_a_slot_that_loses_three_in_a_row_is_shut_and_no_job_fails(tmp_path: Path) -> None:
    async with running(tmp_path, script=loses) as env:
        for name in "ab":
            await env.submit(ANNA, name)
        await env.until(lambda: status(env).state is SlotState.SHUT)
        assert status(env).reason == REASON
        assert len(env.orders) == FAILURES_TO_SHUT
        await env.settle()
        for name in "ab":
            job = (await env.job(ANNA, JobId(name))).summary
            assert (job.state, job.tries - 1 < 1) == (JobState.QUEUED, True)

        env.backend._script = at_once
        await set_slot(env, S0, SlotGate.OPEN)
        for name in "ab":
            assert (await env.end(name)).state is JobState.COMPLETED
        assert (status(env).state, status(env).reason) == (SlotState.IDLE, "")


async def test_other_slots_finish_the_jobs_that_a_bad_one_loses(tmp_path: Path) -> None:
    def one_is_bad(message: wire.ToEngine) -> Iterable[wire.ToServer | Crash]:
        if isinstance(message, wire.RunJob):
            slot = next(slot for slot, sent in env.backend.sent if sent is message)
            yield from (loses if slot == S0 else at_once)(message)

    async with running(tmp_path, slots=2, script=one_is_bad) as env:
        names = [f"j{n}" for n in range(8)]
        for name in names:
            await env.submit(ANNA, name)
        for name in names:
            assert (await env.end(name)).state is JobState.COMPLETED
        assert status(env).state in (SlotState.SHUT, SlotState.IDLE, SlotState.STARTING)
        assert status(env, "s1").state is SlotState.IDLE
        assert sum(slot == S0 for slot, sent in env.backend.sent if isinstance(sent, wire.RunJob)) <= FAILURES_TO_SHUT


async def test_a_success_between_keeps_the_slot_open(tmp_path: Path) -> None:
    async with running(tmp_path) as env:
        for name in "abc":
            await env.submit(ANNA, name)
            for attempt in range(1, FAILURES_TO_SHUT):
                order = await env.order(name, attempt=attempt)
                env.say(order, wire.AttemptLost(**of(order), reason=REASON))
            order = await env.order(name, attempt=FAILURES_TO_SHUT)
            env.say(order, done(order))
            assert (await env.end(name)).state is JobState.COMPLETED
        assert status(env).state is SlotState.IDLE


async def test_a_slot_that_is_shut_is_tried_again_with_one_job(tmp_path: Path) -> None:
    """No job fails because of the slot, however long the failure lasts."""
    async with running(tmp_path, script=loses) as env:
        await env.submit(ANNA, "a")
        for tries in range(4):
            await env.until(lambda: status(env).state is SlotState.SHUT)
            assert len(env.orders) == FAILURES_TO_SHUT + tries
            await env.clock.until_asleep(1)
            env.clock.pass_s(SHUT_S)
            expected = FAILURES_TO_SHUT + tries + 1
            await env.until(lambda: len(env.orders) == expected)  # noqa: B023 - awaited at once
            await env.settle()
        await env.until(lambda: status(env).state is SlotState.SHUT)
        env.backend._script = at_once
        await env.clock.until_asleep(1)
        env.clock.pass_s(SHUT_S)
        assert (await env.end("a")).state is JobState.COMPLETED


async def test_a_job_that_no_slot_has_room_for_ends_while_others_complete(tmp_path: Path) -> None:
    async with running(tmp_path) as env:
        await env.submit(ANNA, "huge", number=0.0)
        attempt = 0
        while not any(isinstance(event, JobEnded) and event.job_id == "huge" for event in env.events):
            attempt += 1
            order = await env.order("huge", attempt=attempt)
            await env.submit(BEN, f"small{attempt}")
            env.say(order, wire.AttemptLost(**of(order), reason=REASON))
            small = await env.order(f"small{attempt}")
            env.say(small, done(small))
            await env.end(f"small{attempt}")
            assert attempt < 10
        ended = await env.end("huge")
        assert ended.state is JobState.FAILED
        assert ended.error is not None
        assert REASON in ended.error.exception_message
        assert attempt == FAILURES_TO_SHUT + 2


async def test_a_cancelled_job_that_is_lost_is_cancelled(tmp_path: Path) -> None:
    async with running(tmp_path) as env:
        await env.submit(ANNA, "a")
        order = await env.order("a")
        await env.cancel(ANNA, JobId("a"))
        env.say(order, wire.AttemptLost(**of(order), reason=REASON))
        assert (await env.end("a")).state is JobState.CANCELLED


async def test_a_staging_folder_that_is_gone_costs_no_job(tmp_path: Path) -> None:
    """An engine may only write to the folder that existed when it started, so the slot gets another engine."""
    async with running(tmp_path, script=at_once) as env:
        await env.submit(ANNA, "first")
        await env.end("first")
        shutil.rmtree(env.staging)
        await env.submit(ANNA, "a")
        assert (await env.end("a")).state is JobState.COMPLETED
        assert (await env.job(ANNA, JobId("a"))).summary.tries == 1
        assert env.backend.engines[S0] == 2


async def test_a_folder_that_goes_with_its_outputs_costs_no_retry(tmp_path: Path) -> None:
    async with running(tmp_path) as env:
        await env.submit(ANNA, "a")
        order = await env.order("a")
        output = picture(order, "out_00001_.png")
        shutil.rmtree(order.staging)
        env.say(order, output)
        again = await env.order("a", attempt=2)
        env.say(again, picture(again, "out_00001_.png"))
        env.say(again, done(again))
        assert (await env.end("a")).state is JobState.COMPLETED
        assert (await env.job(ANNA, JobId("a"))).summary.tries == 1


async def test_an_engine_that_dies_while_a_node_runs_names_the_node(tmp_path: Path) -> None:
    def dies(message: wire.ToEngine) -> Iterable[wire.ToServer | Crash]:
        if isinstance(message, wire.RunJob):
            yield report(CallStarted(call=call("1")), **of(message))
            yield report(CallFinished(call=call("1")), **of(message))
            yield report(CallStarted(call=call("2")), **of(message))
            yield Crash("signal 11")

    async with running(tmp_path, script=dies) as env:
        await env.submit(ANNA, "a")
        error = (await env.end("a")).error
        assert error is not None
        assert (error.exception_type, error.node_id, error.node_type) == ("WorkerLost", "2", "Save")
        assert error.exception_message == "signal 11 while node 2 (Save) ran (attempt 2 of 2)"
        job = await env.job(ANNA, JobId("a"))
        assert job.summary.error is not None
        assert job.summary.error.node_id == "2"
        [(_, told)] = [message for message in job.messages if message[0] == "execution_error"]
        assert (told["node_id"], told["node_type"], told["executed"]) == ("2", "Save", ["1"])
