"""What is kept of the logs of jobs, for how long, and who reads it."""

from datetime import timedelta

import pytest
from tests.database import ANNA, BEN, NOW, Env
from tests.services.jobs import claim, complete, submit

from safelight.bus.memory import MemoryBus
from safelight.core.errors import Forbidden, NotFound
from safelight.core.event import LogWritten
from safelight.core.ids import JobId
from safelight.core.job import JobSummary
from safelight.core.kept_log import KEPT_CHARACTERS, KeptLog
from safelight.core.retention import Amount, Kind, Retention
from safelight.core.user import Principal
from safelight.services import job as jobs
from safelight.services import job_log, retention
from safelight.services.job_log_recorder import JobLogRecorder

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("each_database")]

ROOT = Principal(BEN.user_id, is_admin=True)


def lines(*texts: str) -> KeptLog:
    return KeptLog([(NOW + timedelta(milliseconds=n), text) for n, text in enumerate(texts)])


async def ended_job(env: Env, who: Principal = ANNA, *, job_id: str | None = None) -> JobSummary:
    job = await submit(env, who, job_id=job_id)
    await complete(env, await claim(env, who))
    return job


async def test_lines_are_kept_in_their_order_for_the_owner_and_administrators(env: Env) -> None:
    job = await ended_job(env, job_id="mine")
    await env.do(job_log.append, ANNA.user_id, job_id=job.id, log=lines("one\n"))
    await env.do(job_log.append, ANNA.user_id, job_id=job.id, log=lines("two\n", "three\n"))
    found = await env.read(job_log.read, ANNA, job_id="mine")
    assert found == KeptLog([*lines("one\n").lines, *lines("two\n", "three\n").lines])
    assert await env.read(job_log.read_any, ROOT, owner_id=ANNA.user_id, job_id="mine") == found
    assert await env.read(job_log.read, BEN, job_id="mine") is None
    with pytest.raises(Forbidden):
        await env.read(job_log.read_any, BEN, owner_id=ANNA.user_id, job_id="mine")
    with pytest.raises(NotFound):
        await env.read(job_log.read_any, ROOT, owner_id=BEN.user_id, job_id="mine")


async def test_the_last_lines_of_a_long_log_are_kept(env: Env) -> None:
    job = await ended_job(env)
    for number in range(30):
        log = lines(*(f"{number} {place} {'x' * 90}\n" for place in range(50)))
        await env.do(job_log.append, ANNA.user_id, job_id=job.id, log=log)
    found = await env.read(job_log.read, ANNA, job_id=job.shown_id)
    assert found is not None
    assert found.is_truncated
    assert KEPT_CHARACTERS * 0.7 < len(found.text) <= KEPT_CHARACTERS
    assert found.lines[-1][1].startswith("29 49 ")
    empty = KeptLog().followed_by(KeptLog([(NOW, "\n")] * 100_000))
    assert len(empty.lines) < 4_000, "empty lines count too"


async def test_a_log_is_deleted_with_its_job(env: Env) -> None:
    job = await ended_job(env, job_id="mine")
    await env.do(job_log.append, ANNA.user_id, job_id=job.id, log=lines("one\n"))
    await env.do(jobs.forget, ANNA, job_ids=["mine"], now=NOW)
    assert await env.read(job_log.latest, at_most=10) == []
    await env.do(job_log.append, ANNA.user_id, job_id=job.id, log=lines("late\n"))
    assert await env.read(job_log.latest, at_most=10) == []


async def test_logs_go_at_their_age_and_their_jobs_stay(env: Env) -> None:
    old, kept = await ended_job(env), await ended_job(env, BEN)
    for job, who in ((old, ANNA), (kept, BEN)):
        await env.do(job_log.append, who.user_id, job_id=job.id, log=lines("one\n"))
    rules, later = Retention(logs=3600.0), NOW + timedelta(hours=2)
    due = (await env.read(retention.due, retention=rules, now=later))[Kind.LOGS]
    assert due.count == 2
    removed = await env.do(retention.remove, ANNA.user_id, kind=Kind.LOGS, retention=rules, at_most=100, now=later)
    assert removed == Amount(1, due.size // 2)
    assert await env.read(job_log.read, ANNA, job_id=old.shown_id) is None
    assert await env.read(jobs.get, ANNA, job_id=old.shown_id)
    assert await env.read(job_log.read, BEN, job_id=kept.shown_id)


async def test_the_recorder_keeps_the_lines_of_jobs_and_no_others(env: Env) -> None:
    bus = MemoryBus()
    recorder = JobLogRecorder(env.db, bus)
    first, second = await ended_job(env), await ended_job(env, BEN)
    bus.publish([LogWritten(ANNA.user_id, [(NOW, "before it leads")], first.id)])
    recorder.start()
    bus.publish([LogWritten(ANNA.user_id, [(NOW, "a"), (NOW, "b\n")], first.id)])
    bus.publish([LogWritten(BEN.user_id, [(NOW, "c")], second.id), LogWritten(None, [(NOW, "the server's")])])
    bus.publish([LogWritten(ANNA.user_id, [(NOW, "x")], JobId("gone"))])
    await recorder.stop()
    kept = await env.read(job_log.latest, at_most=10)
    assert [(owner, text) for owner, (_, text) in kept] == [
        (BEN.user_id, "c\n"),
        (ANNA.user_id, "a\n"),
        (ANNA.user_id, "b\n"),
    ]
