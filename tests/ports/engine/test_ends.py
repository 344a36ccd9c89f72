"""How jobs and engines of any kind end before their time."""

import time
from typing import Any

import pytest
from tests.dispatch.engines import Bench, EngineLost, node

from safelight.core.event import CallProgressed
from safelight.core.job import JobState

pytestmark = pytest.mark.anyio

SHOWN = {"1": node("Number", value=7), "2": node("Show", value=["1", 0])}


async def assert_works(engine: Bench) -> None:
    _, done = await engine.run(SHOWN, "2")
    assert done.outcome is JobState.COMPLETED


async def test_a_node_that_reports_progress_is_cancelled_at_once(engine: Bench) -> None:
    job = engine.send({"1": node("Steps", value=500, seconds=0.02)}, "1")
    await engine.listener.until(CallProgressed)
    started = time.monotonic()
    engine.cancel(job)
    _, done = await engine.end()
    assert done.outcome is JobState.CANCELLED
    assert time.monotonic() - started < 2
    await assert_works(engine)


async def test_a_cancel_before_the_start_holds(engine: Bench) -> None:
    for _ in range(5):
        job = engine.send({"1": node("Steps", value=500, seconds=0.02)}, "1")
        engine.cancel(job)
        _, done = await engine.end()
        assert done.outcome is JobState.CANCELLED
    await assert_works(engine)


async def test_a_cancel_of_another_attempt_has_no_effect(engine: Bench) -> None:
    job = engine.send({"1": node("Steps", value=20, seconds=0.02)}, "1", attempt=2)
    engine.backend.send(*_cancel(job.job_id, attempt=1))
    _, done = await engine.end()
    assert done.outcome is JobState.COMPLETED


def _cancel(job_id: str, *, attempt: int) -> Any:
    from tests.dispatch.engines import SLOT

    from safelight.wire.messages import CancelJob

    return SLOT, CancelJob(job_id=job_id, attempt=attempt)


async def test_a_node_may_interrupt_its_own_job(engine: Bench) -> None:
    _, done = await engine.run({"1": node("Deed", what="stop")}, "1")
    assert done.outcome is JobState.CANCELLED
    await assert_works(engine)


async def test_a_node_that_hangs_is_killed_and_the_next_engine_works(engine: Bench) -> None:
    job = engine.send({"1": node("Deed", what="hang")}, "1")
    await engine.line("hanging")
    engine.cancel(job)
    engine.backend.kill("a", "the job did not stop")
    await engine.listener.until(EngineLost)
    await engine.ready()
    await assert_works(engine)


@pytest.mark.parametrize(
    ("what", "words"), [("exit", "status 3"), ("segfault", "SIGSEGV"), ("run_out_of_memory", "ran out of memory")]
)
async def test_the_end_of_an_engine_is_reported_and_a_fresh_one_works(engine: Bench, what: str, words: str) -> None:
    engine.send({"1": node("Deed", what=what)}, "1")
    _, lost = await engine.listener.until(EngineLost)
    assert words in lost.reason
    await engine.ready()
    await assert_works(engine)


async def test_a_job_without_a_retry_fails_when_memory_runs_out(engine: Bench) -> None:
    _, done = await engine.run({"1": node("Deed", what="run_out_of_memory")}, "1", has_retry=False)
    assert done.outcome is JobState.FAILED
    assert done.error is not None
    assert done.error.exception_type == "torch.OutOfMemoryError"
    await assert_works(engine)
