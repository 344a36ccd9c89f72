"""What workers do to jobs: only with the current fence, outputs published once, exactly one end."""

import itertools
from typing import Any

import pytest
from tests.database import ANNA, BEN, NOW, Env, at
from tests.services.files import new_file
from tests.services.jobs import call, claim, complete, picture, submit

from safelight.core.asset import FileName, Folder
from safelight.core.errors import Conflict, NotFound
from safelight.core.event import JobEnded, JobRequeued, JobStarted, OutputMade, QueueChanged
from safelight.core.ids import JobId
from safelight.core.job import Fence, JobError, JobState
from safelight.core.paging import PageRequest
from safelight.core.pool import QueueKey
from safelight.services import asset_access, named_files
from safelight.services import attempt as attempts
from safelight.services import job as jobs
from safelight.services.timeline import Cached

pytestmark = pytest.mark.anyio

MS = 1767323045000  # NOW
OUT = FileName(Folder.OUTPUT, "", "out_00001_.png")


async def listed(env: Env) -> list[str]:
    return [str(asset.file) for asset in await env.read(named_files.list_files, ANNA, folder=Folder.OUTPUT)]


async def record(env: Env, fence: Fence, file: FileName = OUT, data: bytes = b"picture") -> None:
    outputs = [picture(file.filename)]
    await env.do(attempts.record_outputs, fence, outputs=outputs, files=[new_file(file, data)], now=NOW)


async def test_a_claim_starts_the_first_job_of_the_first_owner_who_has_one(env: Env) -> None:
    for name in "ab":
        await submit(env, BEN, job_id=name)
    env.take_events()
    first = await env.do(attempts.claim_next, keys=[QueueKey(ANNA.user_id), QueueKey(BEN.user_id)], now=at(1))
    assert first.job is not None
    summary = first.job.summary
    assert (summary.id, summary.state, summary.attempt, summary.started_at) == ("a", JobState.RUNNING, 1, at(1))
    assert (first.has_more, first.idle) == (True, [QueueKey(ANNA.user_id)])
    words = {"owner_id": BEN.user_id, "job_id": JobId("a"), "client_id": None}
    assert env.take_events() == [JobStarted(**words, at=at(1), attempt=1)]
    second = await env.do(attempts.claim_next, keys=[QueueKey(BEN.user_id)], now=at(1))
    assert (second.job and second.job.id, second.has_more) == ("b", False)
    third = await env.do(attempts.claim_next, keys=[QueueKey(BEN.user_id), QueueKey(ANNA.user_id)], now=at(1))
    assert (third.job, third.idle) == (None, [QueueKey(BEN.user_id), QueueKey(ANNA.user_id)])


async def test_a_claim_brings_the_files_that_the_prompt_names(env: Env) -> None:
    cat = FileName(Folder.INPUT, "", "cat.png")
    anna = await env.do(named_files.upload, ANNA, new=new_file(cat, b"anna's"), overwrite=False, now=NOW)
    await env.do(named_files.upload, BEN, new=new_file(cat, b"ben's"), overwrite=False, now=NOW)
    await submit(env, ANNA)
    claimed = await env.do(attempts.claim_next, keys=[QueueKey(ANNA.user_id)], now=NOW)
    assert {name: asset.digest for name, asset in claimed.files.items()} == {"cat.png": anna.digest}


async def test_outputs_can_be_viewed_at_once_and_are_listed_from_the_finish_on(env: Env) -> None:
    await submit(env, ANNA, job_id="a")
    fence = await claim(env, ANNA)
    env.take_events()
    await record(env, fence)
    made = env.take_events()
    assert [type(event.event) for event in made] == [OutputMade]
    assert (await env.read(asset_access.by_file_name, ANNA, file=OUT)).job_id == "a"
    assert await listed(env) == []
    with pytest.raises(NotFound):
        await env.read(asset_access.by_file_name, BEN, file=OUT)
    await complete(env, fence)
    assert await listed(env) == ["out_00001_.png [output]"]


async def test_a_file_that_no_output_names_is_published_all_the_same(env: Env) -> None:
    """A start drops unpublished files."""
    await submit(env, ANNA, job_id="a")
    fence = await claim(env, ANNA)
    call, _ = picture(OUT.filename)
    await env.do(attempts.record_outputs, fence, outputs=[(call, {})], files=[new_file(OUT, b"picture")], now=NOW)
    await complete(env, fence)
    await env.do(attempts.recover, now=NOW)
    assert await listed(env) == ["out_00001_.png [output]"]


async def test_the_end_is_written_and_told_at_once(env: Env) -> None:
    await submit(env, ANNA, job_id="a")
    fence = await claim(env, ANNA, now=at(1))
    env.take_events()
    await env.do(
        attempts.finish,
        fence,
        outcome=JobState.COMPLETED,
        executed=["1", "2"],
        cached=Cached(["7"], at(1.5)),
        outputs=[picture("t.png", "temp"), (call("3"), {"text": ["hi"]})],
        device_s=1.25,
        now=at(3),
    )
    words = {"owner_id": ANNA.user_id, "job_id": JobId("a"), "client_id": None, "at": at(3)}
    ended = JobEnded(**words, state=JobState.COMPLETED, executed=["1", "2"])
    assert env.take_events() == [ended, QueueChanged(ANNA.user_id, 0)]
    job = await env.read(jobs.get, ANNA, job_id=JobId("a"))
    assert (job.summary.started_at, job.summary.ended_at, job.summary.outputs_count) == (at(1), at(3), 1)
    assert job.outputs == {
        "2": {"images": [{"filename": "t.png", "subfolder": "", "type": "temp"}]},
        "3": {"text": ["hi"]},
    }
    assert job.meta["3"] == {"node_id": "3", "display_node": "3", "parent_node": None, "real_node_id": "3"}
    assert job.messages == [
        ("execution_start", {"prompt_id": "a", "timestamp": MS + 1000}),
        ("execution_cached", {"nodes": ["7"], "prompt_id": "a", "timestamp": MS + 1500}),
        ("execution_success", {"prompt_id": "a", "timestamp": MS + 3000}),
    ]


async def test_the_history_says_why_a_job_failed(env: Env) -> None:
    await submit(env, ANNA, job_id="a")
    fence = await claim(env, ANNA)
    error = JobError("ValueError", "bad\n", "1", "LoadImage", ["line"], {"x": [1]}, ["2"], ["5"])
    await env.do(attempts.finish, fence, outcome=JobState.FAILED, error=error, executed=["5"], now=at(1))
    job = await env.read(jobs.get, ANNA, job_id=JobId("a"))
    assert job.summary.error == error
    assert job.messages[-1] == (
        "execution_error",
        {
            "prompt_id": "a",
            "node_id": "1",
            "node_type": "LoadImage",
            "executed": ["5"],
            "exception_message": "bad\n",
            "exception_type": "ValueError",
            "traceback": ["line"],
            "current_inputs": {"x": [1]},
            "current_outputs": ["2"],
            "timestamp": MS + 1000,
        },
    )


async def test_a_cancelled_job_shows_where_it_was_and_has_no_error(env: Env) -> None:
    await submit(env, ANNA, job_id="a")
    fence = await claim(env, ANNA)
    where = JobError("Cancelled", "", "3", "KSampler")
    await env.do(attempts.finish, fence, outcome=JobState.CANCELLED, error=where, executed=["5"], now=NOW)
    job = await env.read(jobs.get, ANNA, job_id=JobId("a"))
    assert job.summary.error is None
    interrupted = {"prompt_id": "a", "node_id": "3", "node_type": "KSampler", "executed": ["5"], "timestamp": MS}
    assert job.messages[-1] == ("execution_interrupted", interrupted)
    ended = [event for event in env.take_events() if isinstance(event, JobEnded)]
    assert [event.error for event in ended] == [where]


@pytest.mark.parametrize("outcome", [JobState.FAILED, JobState.CANCELLED])
async def test_what_was_made_before_a_bad_end_is_published_too(env: Env, outcome: JobState) -> None:
    await submit(env, ANNA)
    fence = await claim(env, ANNA)
    await record(env, fence)
    await complete(env, fence, outcome=outcome)
    assert await listed(env) == ["out_00001_.png [output]"]


async def test_a_lost_attempt_leaves_nothing_and_the_retry_publishes_once(env: Env) -> None:
    await submit(env, ANNA, job_id="a")
    first = await claim(env, ANNA)
    await record(env, first)
    env.take_events()
    await env.do(attempts.fail_attempt, first, reason="the worker died", now=NOW)
    words = {"owner_id": ANNA.user_id, "job_id": JobId("a"), "client_id": None, "at": NOW}
    assert env.take_events() == [JobRequeued(**words, reason="the worker died")]
    with pytest.raises(NotFound):
        await env.read(asset_access.by_file_name, ANNA, file=OUT)

    second = await claim(env, ANNA)
    assert second == Fence(JobId("a"), 2)
    await record(env, second)
    await complete(env, second)
    job = await env.read(jobs.get, ANNA, job_id=JobId("a"))
    assert (job.summary.outputs_count, len(job.outputs["2"]["images"])) == (1, 1)
    assert await listed(env) == ["out_00001_.png [output]"]


async def test_the_second_loss_fails_the_job_and_says_why(env: Env) -> None:
    await submit(env, ANNA, job_id="a")
    await env.do(attempts.fail_attempt, await claim(env, ANNA), reason="the worker died", now=NOW)
    await env.do(attempts.fail_attempt, await claim(env, ANNA), reason="the worker died again", now=NOW)
    job = await env.read(jobs.get, ANNA, job_id=JobId("a"))
    assert job.summary.state is JobState.FAILED
    assert job.summary.error is not None
    assert job.summary.error.exception_message == "the worker died again (attempt 2 of 2)"
    assert job.messages[-1][0] == "execution_error"


async def test_a_job_that_was_to_end_ends_with_its_worker(env: Env) -> None:
    await submit(env, ANNA, job_id="a")
    fence = await claim(env, ANNA)
    await env.do(jobs.cancel, ANNA, job_id=JobId("a"), now=NOW)
    await env.do(
        attempts.fail_attempt, fence, reason="killed", interrupted=JobError("Cancelled", "", "3", "X"), now=NOW
    )
    job = await env.read(jobs.get, ANNA, job_id=JobId("a"))
    assert (job.summary.state, job.summary.error) == (JobState.CANCELLED, None)
    assert job.messages[-1][1]["node_id"] == "3"


async def test_an_old_fence_has_no_say(env: Env) -> None:
    await submit(env, ANNA, job_id="a")
    old = await claim(env, ANNA)
    await env.do(attempts.fail_attempt, old, reason="lost", now=NOW)
    for state in ("queued", "running", "completed"):
        env.take_events()
        before = await env.read(jobs.get, ANNA, job_id=JobId("a"))
        assert before.summary.state == state
        with pytest.raises(Conflict):
            await complete(env, old)
        with pytest.raises(Conflict):
            await record(env, old)
        with pytest.raises(Conflict):
            await env.do(attempts.fail_attempt, old, reason="late", now=NOW)
        with pytest.raises(Conflict):
            await env.do(attempts.requeue, old, now=NOW)
        assert env.take_events() == []
        assert await env.read(jobs.get, ANNA, job_id=JobId("a")) == before
        if state == "queued":
            new = await claim(env, ANNA)
        elif state == "running":
            await complete(env, new)


@pytest.mark.parametrize("order", list(itertools.permutations(["cancel", "finish", "lose"])))
async def test_however_cancel_finish_and_loss_meet_there_is_one_end(env: Env, order: tuple[str, ...]) -> None:
    await submit(env, ANNA, job_id="a")
    fence = await claim(env, ANNA)
    env.take_events()
    acts: dict[str, Any] = {
        "cancel": lambda: env.do(jobs.cancel, ANNA, job_id=JobId("a"), now=NOW),
        "finish": lambda: complete(env, fence),
        "lose": lambda: env.do(attempts.fail_attempt, fence, reason="lost", now=NOW),
    }
    for act in order:
        try:
            await acts[act]()
        except Conflict:
            assert act != "cancel"
    job = await env.read(jobs.get, ANNA, job_id=JobId("a"))
    ends = [event for event in env.take_events() if isinstance(event, JobEnded)]
    assert [event.state for event in ends] == [job.summary.state]
    expected = {"finish": JobState.COMPLETED, "cancel": JobState.CANCELLED, "lose": JobState.CANCELLED}
    first_end = next(act for act in order if act == "finish" or (act == "lose" and "cancel" in order))
    assert job.summary.state is expected[first_end]


async def test_a_restart_gives_up_what_ran(env: Env) -> None:
    for name in "abcd":
        await submit(env, ANNA, job_id=name)
    running = [await claim(env, ANNA) for _ in range(3)]  # a b c
    await record(env, running[0])
    await complete(env, running[2])
    await env.do(jobs.cancel, ANNA, job_id=JobId("b"), now=NOW)
    lost = await env.do(attempts.recover, now=at(1))
    assert {job.id: job.state for job in lost} == {"a": JobState.QUEUED, "b": JobState.CANCELLED}
    page = await env.read(jobs.list, ANNA, states=(), page=PageRequest(10))
    assert {job.id: job.state.value for job in page.items} == {
        "a": "queued",
        "b": "cancelled",
        "c": "completed",
        "d": "queued",
    }
    assert await env.read(attempts.waiting_keys) == [QueueKey(ANNA.user_id)]
    with pytest.raises(NotFound):
        await env.read(asset_access.by_file_name, ANNA, file=OUT)
    assert (await claim(env, ANNA)) == Fence(JobId("a"), 2)


async def test_what_was_left_to_the_next_server_and_lost_costs_no_retry(env: Env) -> None:
    await submit(env, ANNA, job_id="a")
    for attempt in (1, 2, 3):
        fence = await claim(env, ANNA)
        assert fence.attempt == attempt
        left = await env.do(attempts.detach, fence, now=NOW)
        assert (left.state, left.attempt) == (JobState.RUNNING, attempt)
        [lost] = await env.do(attempts.recover, fences={fence}, now=NOW)
        assert lost.state is JobState.QUEUED
    with pytest.raises(Conflict):
        await env.do(attempts.detach, fence, now=NOW)


async def test_only_attempts_that_are_named_are_given_up(env: Env) -> None:
    """The files of the other attempts stay, and their outputs are returned to the server that reattaches them."""
    for name in "ab":
        await submit(env, ANNA, job_id=name)
    given_up, kept = [await claim(env, ANNA) for _ in range(2)]
    await record(env, kept)
    await env.do(attempts.recover, fences={given_up, Fence(JobId("b"), 7)}, now=NOW)
    assert (await env.read(asset_access.by_file_name, ANNA, file=OUT)).job_id == kept.job_id
    resumed = await env.read(attempts.reattach, kept)
    assert (resumed.job.id, resumed.recorded, resumed.weight) == (kept.job_id, 1, 1.0)
    with pytest.raises(Conflict):
        await env.read(attempts.reattach, given_up)


async def test_a_stop_in_good_order_costs_no_retry(env: Env) -> None:
    await submit(env, ANNA, job_id="a")
    for attempt in (1, 2, 3):
        fence = await claim(env, ANNA)
        assert fence.attempt == attempt
        released = await env.do(attempts.requeue, fence, now=NOW)
        assert released.state is JobState.QUEUED
