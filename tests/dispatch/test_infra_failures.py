"""Attempts that are lost beside the node: the job waits again for free, and a slot that keeps losing them is shut."""

import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
from tests.database import ANNA, BEN
from tests.dispatch.harness import Stage, at_once, call, done, of, picture, running
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

REASON = "there is no room for the job's files"


def loses(message: wire.ToEngine) -> Iterable[wire.ToServer | Crash]:
    """An engine whose machine has no room."""
    if isinstance(message, wire.RunJob):
        yield wire.AttemptLost(**of(message), reason=REASON)


def status(it: Stage, slot: str = "s0") -> SlotStatus:
    return next(each for each in it.dispatcher.slots() if each.id == slot)


async def test_a_slot_that_loses_three_in_a_row_is_shut_and_no_job_fails(tmp_path: Path) -> None:
    async with running(tmp_path, script=loses) as it:
        for name in "ab":
            await it.submit(ANNA, name)
        await it.until(lambda: status(it).state is SlotState.SHUT)
        assert status(it).reason == REASON
        assert len(it.orders) == FAILURES_TO_SHUT
        await it.settle()
        for name in "ab":
            job = (await it.job(ANNA, JobId(name))).summary
            assert (job.state, job.tries - 1 < 1) == (JobState.QUEUED, True)

        it.backend._script = at_once
        await set_slot(it, S0, SlotGate.OPEN)
        for name in "ab":
            assert (await it.end(name)).state is JobState.COMPLETED
        assert (status(it).state, status(it).reason) == (SlotState.IDLE, "")


async def test_the_other_slots_finish_what_a_bad_one_loses(tmp_path: Path) -> None:
    def one_is_bad(message: wire.ToEngine) -> Iterable[wire.ToServer | Crash]:
        if isinstance(message, wire.RunJob):
            slot = next(slot for slot, sent in it.backend.sent if sent is message)
            yield from (loses if slot == S0 else at_once)(message)

    async with running(tmp_path, slots=2, script=one_is_bad) as it:
        names = [f"j{n}" for n in range(8)]
        for name in names:
            await it.submit(ANNA, name)
        for name in names:
            assert (await it.end(name)).state is JobState.COMPLETED
        assert status(it).state in (SlotState.SHUT, SlotState.IDLE, SlotState.STARTING)
        assert status(it, "s1").state is SlotState.IDLE
        assert sum(slot == S0 for slot, sent in it.backend.sent if isinstance(sent, wire.RunJob)) <= FAILURES_TO_SHUT


async def test_a_success_between_keeps_the_slot_open(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        for name in "abc":
            await it.submit(ANNA, name)
            for attempt in range(1, FAILURES_TO_SHUT):
                order = await it.order(name, attempt=attempt)
                it.say(order, wire.AttemptLost(**of(order), reason=REASON))
            order = await it.order(name, attempt=FAILURES_TO_SHUT)
            it.say(order, done(order))
            assert (await it.end(name)).state is JobState.COMPLETED
        assert status(it).state is SlotState.IDLE


async def test_a_slot_that_is_shut_is_tried_again_with_one_job(tmp_path: Path) -> None:
    """However long it is broken, no job fails for it."""
    async with running(tmp_path, script=loses) as it:
        await it.submit(ANNA, "a")
        for tries in range(4):
            await it.until(lambda: status(it).state is SlotState.SHUT)
            assert len(it.orders) == FAILURES_TO_SHUT + tries
            await it.clock.until_asleep(1)
            it.clock.pass_s(SHUT_S)
            expected = FAILURES_TO_SHUT + tries + 1
            await it.until(lambda: len(it.orders) == expected)  # noqa: B023 - awaited at once
            await it.settle()
        await it.until(lambda: status(it).state is SlotState.SHUT)
        it.backend._script = at_once
        await it.clock.until_asleep(1)
        it.clock.pass_s(SHUT_S)
        assert (await it.end("a")).state is JobState.COMPLETED


async def test_a_job_that_no_slot_has_room_for_ends_while_others_complete(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        await it.submit(ANNA, "huge", number=0.0)
        attempt = 0
        while not any(isinstance(event, JobEnded) and event.job_id == "huge" for event in it.events):
            attempt += 1
            order = await it.order("huge", attempt=attempt)
            await it.submit(BEN, f"small{attempt}")
            it.say(order, wire.AttemptLost(**of(order), reason=REASON))
            small = await it.order(f"small{attempt}")
            it.say(small, done(small))
            await it.end(f"small{attempt}")
            assert attempt < 10
        ended = await it.end("huge")
        assert ended.state is JobState.FAILED
        assert ended.error is not None
        assert REASON in ended.error.exception_message
        assert attempt == FAILURES_TO_SHUT + 2


async def test_a_cancelled_job_that_is_lost_is_cancelled(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        await it.submit(ANNA, "a")
        order = await it.order("a")
        await it.cancel(ANNA, JobId("a"))
        it.say(order, wire.AttemptLost(**of(order), reason=REASON))
        assert (await it.end("a")).state is JobState.CANCELLED


async def test_a_staging_folder_that_is_gone_costs_no_job(tmp_path: Path) -> None:
    """Engines may write to the folder that was there when they began: the slot gets another one."""
    async with running(tmp_path, script=at_once) as it:
        await it.submit(ANNA, "first")
        await it.end("first")
        shutil.rmtree(it.staging)
        await it.submit(ANNA, "a")
        assert (await it.end("a")).state is JobState.COMPLETED
        assert (await it.job(ANNA, JobId("a"))).summary.tries == 1
        assert it.backend.engines[S0] == 2


async def test_a_folder_that_goes_with_its_outputs_costs_no_retry(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        await it.submit(ANNA, "a")
        order = await it.order("a")
        output = picture(order, "out_00001_.png")
        shutil.rmtree(order.staging)
        it.say(order, output)
        again = await it.order("a", attempt=2)
        it.say(again, picture(again, "out_00001_.png"))
        it.say(again, done(again))
        assert (await it.end("a")).state is JobState.COMPLETED
        assert (await it.job(ANNA, JobId("a"))).summary.tries == 1


async def test_an_engine_that_dies_while_a_node_runs_names_the_node(tmp_path: Path) -> None:
    def dies(message: wire.ToEngine) -> Iterable[wire.ToServer | Crash]:
        if isinstance(message, wire.RunJob):
            yield report(CallStarted(call=call("1")), **of(message))
            yield report(CallFinished(call=call("1")), **of(message))
            yield report(CallStarted(call=call("2")), **of(message))
            yield Crash("signal 11")

    async with running(tmp_path, script=dies) as it:
        await it.submit(ANNA, "a")
        error = (await it.end("a")).error
        assert error is not None
        assert (error.exception_type, error.node_id, error.node_type) == ("WorkerLost", "2", "Save")
        assert error.exception_message == "signal 11 while node 2 (Save) ran (attempt 2 of 2)"
        job = await it.job(ANNA, JobId("a"))
        assert job.summary.error is not None
        assert job.summary.error.node_id == "2"
        [(_, told)] = [message for message in job.messages if message[0] == "execution_error"]
        assert (told["node_id"], told["node_type"], told["executed"]) == ("2", "Save", ["1"])
