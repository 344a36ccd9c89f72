"""Jobs from their owners' side."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.database import ANNA, BEN, NOW, Env, at, everything_in
from tests.plans import Step, plans
from tests.services.jobs import PROMPT, claim, complete, picture, submit

from safelight.core.errors import Conflict, NotFound
from safelight.core.event import CancelRequested, JobEnded, JobForgotten, JobQueued, QueueChanged
from safelight.core.ids import ClientId, JobId, UserId
from safelight.core.job import Fence, JobState, JobSummary
from safelight.core.paging import PageRequest
from safelight.core.pool import QueueKey
from safelight.core.user import Principal
from safelight.db.transaction import Transaction
from safelight.services import attempt as attempts
from safelight.services import job as jobs
from safelight.services.job import SubmitJob

pytestmark = pytest.mark.anyio

ALL = PageRequest(limit=100)


async def ids(env: Env, who: Principal = ANNA, **filters: Any) -> Sequence[JobId]:
    page = await env.read(jobs.list, who, **{"states": (), "page": ALL, **filters})
    return [job.id for job in page.items]


async def test_a_submitted_job_is_there_whole(env: Env) -> None:
    extra = {"extra_pnginfo": {"workflow": {"nodes": []}}}
    command = SubmitJob(
        prompt=PROMPT, targets=["2"], extra_data=extra, client_id=ClientId("c"), workflow_id="w", job_id=JobId("mine")
    )
    summary = await env.do(jobs.submit, ANNA, command=command, now=NOW)
    job = await env.read(jobs.get, ANNA, job_id=summary.id)
    assert job.summary == summary
    assert (summary.id, summary.state, summary.attempt, summary.number) == ("mine", JobState.QUEUED, 0, 0)
    assert (job.prompt, job.targets) == (PROMPT, ["2"])
    assert job.extra_data == extra | {"client_id": "c", "create_time": 1767323045000}
    assert env.take_events() == [
        JobQueued(owner_id=ANNA.user_id, job_id=JobId("mine"), client_id=ClientId("c"), at=NOW),
        QueueChanged(ANNA.user_id, 1),
    ]


async def test_an_id_is_taken_for_its_owner_and_a_second_submit_changes_nothing(env: Env) -> None:
    await submit(env, ANNA, job_id="mine")
    env.take_events()
    with pytest.raises(Conflict, match="mine"):
        await submit(env, ANNA, job_id="mine")
    assert env.take_events() == []
    assert await env.read(jobs.remaining, ANNA) == 1


async def test_two_owners_may_choose_one_id_and_neither_notices(env: Env) -> None:
    first, second = await submit(env, ANNA, job_id="mine"), await submit(env, BEN, job_id="mine")
    assert first.shown_id == second.shown_id == "mine"
    assert first.id != second.id
    with pytest.raises(Conflict, match="mine"):
        await submit(env, BEN, job_id="mine")
    for who, own in ((ANNA, first), (BEN, second)):
        assert (await env.read(jobs.get, who, job_id="mine")).id == own.id
    assert await env.do(jobs.cancel_queued, BEN, job_ids=["mine"], now=NOW) == ["mine"]
    assert (await env.read(jobs.get, ANNA, job_id="mine")).summary.state is JobState.QUEUED
    await env.do(jobs.forget, BEN, job_ids=["mine"], now=NOW)
    assert (await submit(env, BEN, job_id="mine")).id == second.id, "the name is free again for its owner"
    assert await env.do(jobs.cancel, ANNA, job_id="mine", now=NOW)


async def test_a_job_needs_a_user(env: Env) -> None:
    with pytest.raises(NotFound):
        await submit(env, Principal(UserId("nobody")))


async def test_numbers_count_per_owner(env: Env) -> None:
    """Numbers of other users would tell how busy the server is."""
    assert [(await submit(env, ANNA)).number for _ in range(3)] == [0, 1, 2]
    assert (await submit(env, BEN)).number == 0
    assert (await submit(env, ANNA, front=True)).number == -3
    assert (await submit(env, ANNA, number=0.5)).number == 0.5


async def test_the_queue_is_in_running_order(env: Env) -> None:
    for name, words in {
        "a": {},
        "b": {},
        "half": {"number": 0.5},
        "front": {"front": True},
        "tie": {"number": 1},
    }.items():
        await submit(env, ANNA, job_id=name, **words)
    running, pending = await env.read(jobs.queue, ANNA)
    assert running == []
    assert [job.id for job in pending] == ["front", "a", "half", "b", "tie"]
    claimed = [(await claim(env, ANNA)).job_id for _ in range(5)]
    assert claimed == ["front", "a", "half", "b", "tie"]


async def test_secrets_go_to_the_dispatcher_and_into_no_row(env: Env, tmp_path: Path) -> None:
    extra = {"api_key_comfy_org": "canary-1", "auth_token_comfy_org": "canary-2", "extra_pnginfo": {}}
    command = SubmitJob(prompt=PROMPT, targets=["2"], extra_data=extra)
    job_id = (await env.do(jobs.submit, ANNA, command=command, now=NOW)).id
    queued = env.take_events()[0]
    assert isinstance(queued, JobQueued)
    assert queued.secrets == {"api_key_comfy_org": "canary-1", "auth_token_comfy_org": "canary-2"}
    assert "canary" not in repr(queued)
    job = await env.read(jobs.get, ANNA, job_id=job_id)
    assert job.extra_data["api_key_comfy_org"] == "[REDACTED]"
    stored = everything_in(tmp_path)
    assert b"extra_pnginfo" in stored
    assert b"canary" not in stored
    # A redacted value that is sent again from the history is not a key.
    command = SubmitJob(prompt=PROMPT, targets=["2"], extra_data=job.extra_data)
    await env.do(jobs.submit, ANNA, command=command, now=NOW)
    again = env.take_events()[0]
    assert isinstance(again, JobQueued)
    assert again.secrets == {}


async def test_cancel_a_waiting_job(env: Env) -> None:
    await submit(env, ANNA, job_id="a")
    env.take_events()
    assert await env.do(jobs.cancel, ANNA, job_id=JobId("a"), now=at(1)) is True
    words = {"owner_id": ANNA.user_id, "job_id": JobId("a"), "client_id": None, "at": at(1)}
    assert env.take_events() == [JobEnded(**words, state=JobState.CANCELLED), QueueChanged(ANNA.user_id, 0)]
    assert await env.do(jobs.cancel, ANNA, job_id=JobId("a"), now=at(2)) is False
    assert env.take_events() == []
    history = await env.read(jobs.history, ANNA, page=None, newest_first=True)
    assert [(job.id, job.summary.state, job.summary.ended_at) for job in history] == [("a", JobState.CANCELLED, at(1))]
    assert (await claim_nothing(env)).job is None


async def claim_nothing(env: Env) -> attempts.Claim:
    return await env.do(attempts.claim_next, keys=[QueueKey(ANNA.user_id)], now=NOW)


async def test_cancel_a_running_job_asks_it_to_end(env: Env) -> None:
    await submit(env, ANNA, job_id="a")
    await claim(env, ANNA)
    env.take_events()
    assert await env.do(jobs.cancel, ANNA, job_id=JobId("a"), now=at(1)) is True
    words = {"owner_id": ANNA.user_id, "job_id": JobId("a"), "client_id": None, "at": at(1)}
    assert env.take_events() == [CancelRequested(**words, attempt=1), QueueChanged(ANNA.user_id, 1)]
    assert await env.do(jobs.cancel, ANNA, job_id=JobId("a"), now=at(2)) is False
    job = await env.read(jobs.get, ANNA, job_id=JobId("a"))
    assert (job.summary.state, job.summary.cancel_requested) == (JobState.RUNNING, True)


async def test_interrupt_takes_the_running_and_cancel_queued_the_waiting(env: Env) -> None:
    for name in "abcde":
        await submit(env, ANNA, job_id=name)
    await submit(env, BEN, job_id="ben")
    await claim(env, ANNA)
    await claim(env, ANNA)
    assert await env.do(jobs.interrupt, ANNA, job_id=JobId("c"), now=NOW) == []  # it waits
    assert await env.do(jobs.interrupt, ANNA, job_id=JobId("b"), now=NOW) == ["b"]
    assert await env.do(jobs.interrupt, ANNA, job_id=None, now=NOW) == ["a"]
    cancelled = await env.do(jobs.cancel_queued, ANNA, job_ids=[JobId("a"), JobId("d"), JobId("ben")], now=NOW)
    assert list(cancelled) == ["d"]
    assert sorted(await env.do(jobs.cancel_all_queued, ANNA, at_most=9, now=NOW)) == ["c", "e"]
    assert await env.read(jobs.remaining, ANNA) == 2
    assert await env.read(jobs.remaining, BEN) == 1


async def test_a_job_is_always_in_the_queue_or_in_the_history(env: Env) -> None:
    await submit(env, ANNA, job_id="a")

    async def places() -> tuple[int, int, int]:
        running, pending = await env.read(jobs.queue, ANNA)
        return len(pending), len(running), len(await env.read(jobs.history, ANNA, page=None, newest_first=True))

    assert await places() == (1, 0, 0)
    fence = await claim(env, ANNA)
    assert await places() == (0, 1, 0)
    await complete(env, fence)
    assert await places() == (0, 0, 1)


async def test_the_history_is_in_the_order_of_the_ends(env: Env) -> None:
    fences: dict[str, Fence] = {}
    for name in "abc":
        await submit(env, ANNA, job_id=name)
        fences[name] = await claim(env, ANNA)
    for second, name in enumerate("bca"):
        await complete(env, fences[name], now=at(second))

    async def history(page: PageRequest | None, *, newest_first: bool) -> str:
        found = await env.read(jobs.history, ANNA, page=page, newest_first=newest_first)
        return "".join(job.id for job in found)

    assert await history(None, newest_first=False) == "bca"
    assert await history(PageRequest(2), newest_first=True) == "ac"
    assert await history(PageRequest(2, 2), newest_first=True) == "b"
    assert await history(PageRequest(5, 100), newest_first=False) == ""


async def test_forget(env: Env) -> None:
    for name in "abc":
        await submit(env, ANNA, job_id=name)
    await complete(env, await claim(env, ANNA), outputs=[picture("a.png")])
    await complete(env, await claim(env, ANNA))
    env.take_events()
    await env.do(jobs.forget, ANNA, job_ids=[JobId("b"), JobId("c")], now=NOW)  # c waits
    assert [(type(e), e.job_id) for e in env.take_events() if isinstance(e, JobForgotten)] == [(JobForgotten, "b")]
    assert sorted(await ids(env)) == ["a", "c"]
    await env.do(jobs.forget_all, ANNA, at_most=9, now=NOW)
    assert await ids(env) == ["c"]
    assert await ids(env, output_type="image") == []
    await submit(env, ANNA, job_id="a")  # its id is free again


async def fill(env: Env) -> None:
    """a completed (5 s, a picture), b failed (1 s), c completed (3 s, a film), d cancelled, e running, f queued."""
    for name, words in {
        "a": {"workflow_id": "w"},
        "b": {},
        "c": {"workflow_id": "w"},
        "d": {},
        "e": {},
        "f": {},
    }.items():
        await submit(env, ANNA, job_id=name, **words)
    await submit(env, BEN, job_id="ben", workflow_id="w")
    a, b, c = [await claim(env, ANNA) for _ in range(3)]
    await complete(env, a, outputs=[picture("a.png")], now=at(5))
    await complete(env, b, outcome=JobState.FAILED, now=at(1))
    await complete(env, c, outputs=[picture("c.mp4")], now=at(3))
    await env.do(jobs.cancel, ANNA, job_id=JobId("d"), now=at(9))
    await claim(env, ANNA)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, "fedcba"),
        ({"descending": False}, "abcdef"),
        ({"states": set(JobState)}, "fedcba"),
        ({"states": {JobState.QUEUED, JobState.RUNNING}}, "fe"),
        ({"states": {JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED}}, "dcba"),
        ({"states": {JobState.COMPLETED, JobState.FAILED}, "descending": False}, "abc"),
        ({"states": [JobState.FAILED]}, "b"),
        ({"workflow_id": "w"}, "ca"),
        ({"workflow_id": "none"}, ""),
        ({"output_type": "image"}, "a"),
        ({"output_type": "video", "states": {JobState.COMPLETED, JobState.FAILED}}, "c"),
        ({"output_type": "video", "states": {JobState.FAILED}}, ""),
        ({"sort_by": "execution_duration"}, "acbfed"),
        ({"sort_by": "execution_duration", "descending": False, "workflow_id": "w"}, "ca"),
    ],
)
async def test_list(env: Env, filters: dict[str, Any], expected: str) -> None:
    await fill(env)
    assert "".join(await ids(env, **filters)) == expected
    for limit in (1, 2, 4):  # the pages together are the whole list
        paged = ""
        for offset in range(0, 8, limit):
            page = await env.read(jobs.list, ANNA, **{"states": (), **filters, "page": PageRequest(limit, offset)})
            assert page.total == len(expected)
            assert page.has_more == (offset + limit < len(expected))
            paged += "".join(job.id for job in page.items)
        assert paged == expected


async def test_a_list_reads_no_graph_and_never_scans_or_sorts_the_table(env: Env) -> None:
    """The query plan of every combination."""
    await fill(env)
    steps: list[Step] = []

    def explain(tx: Transaction, **filters: Any) -> None:
        read = partial(jobs.list, tx, ANNA, **{"states": (), "page": PageRequest(20), **filters})
        steps.extend(step for plan in plans(tx, read) for step in plan)

    active, ended = {JobState.QUEUED, JobState.RUNNING}, {JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED}
    for states in (set(), active, ended):
        await env.read(explain, states=states)
    await env.read(explain, sort_by="execution_duration")
    await env.read(explain, workflow_id="w")
    assert len(steps) > 8
    assert [step.text for step in steps if "job_payload" in step.text] == []
    # There are as many running jobs as workers, so a full scan of that index is fine.
    assert [step.text for step in steps if step.table.startswith("job") and "ix_job_running" not in step.text] == []


async def test_a_summary_tells_of_the_outputs(env: Env) -> None:
    await submit(env, ANNA, job_id="a")
    outputs = [picture("t.png", "temp", node="7"), picture("a.png", node="9")]
    await complete(env, await claim(env, ANNA), outputs=outputs)
    job: JobSummary = (await env.read(jobs.list, ANNA, states=(), page=ALL)).items[0]
    assert job.outputs_count == 2
    preview = {"filename": "a.png", "subfolder": "", "type": "output", "nodeId": "9", "mediaType": "images"}
    assert job.preview_output == preview
