"""The number of waiting jobs and the latest ends: queried often, without scanning the queue or the history."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from tests.database import ANNA, BEN, NOW, Env, at
from tests.plans import Step, plans
from tests.services.jobs import claim, complete, submit

from safelight.core.engine_kind import OWN, EngineKind
from safelight.core.ids import JobId, UserId
from safelight.core.pool import ANY, Pool, QueueKey, Requirements
from safelight.db import account as account_rows
from safelight.db import job as job_rows
from safelight.db.transaction import Transaction
from safelight.services import attempt as attempts
from safelight.services import job as jobs
from safelight.services.placement import Placement

pytestmark = pytest.mark.anyio

LARGE = Pool("large")
RUNNING = "ix_job_running"
"""There are as many running jobs as workers, so a full scan of that index is fine."""


async def counts(env: Env) -> dict[tuple[UserId, Pool, str], int]:
    """The stored counts, and counts of the rows."""

    def look(tx: Transaction) -> tuple[Any, Any]:
        kept = tx.conn.exec_driver_sql("SELECT owner_id, pool, engines, queued FROM lane WHERE queued <> 0").all()
        query = (
            "SELECT owner_id, pool, engines, count(*) FROM job WHERE state = 'queued' GROUP BY owner_id, pool, engines"
        )
        return sorted(map(tuple, kept)), sorted(map(tuple, tx.conn.exec_driver_sql(query).all()))

    kept, counted = await env.read(look)
    assert kept == counted
    return {(UserId(owner), Pool(pool), engines): queued for owner, pool, engines, queued in kept}


async def test_jobs_for_other_engines_wait_in_a_queue_of_their_own(env: Env) -> None:
    both = frozenset([OWN, EngineKind("comfyui")])
    await submit(env, ANNA, job_id="own")
    await submit(env, ANNA, job_id="both", placement=Placement(engines=both))
    assert await env.read(attempts.depths) == {Requirements(): 1, Requirements(engines=both): 1}
    key = QueueKey(ANNA.user_id, engines=both)
    claimed = await env.do(attempts.claim_next, keys=[key], now=NOW)
    assert claimed.job is not None
    assert (claimed.job.id, claimed.job.summary.engines, claimed.has_more) == ("both", both, False)
    assert await counts(env) == {(ANNA.user_id, ANY, "safelight"): 1}


async def test_the_number_follows_every_way_into_the_queue_and_out_of_it(env: Env) -> None:
    for name in "abcd":
        await submit(env, ANNA, job_id=name)
    await submit(env, ANNA, job_id="large", placement=Placement(LARGE, ()))
    await submit(env, BEN, job_id="ben's")
    assert await counts(env) == {
        (ANNA.user_id, ANY, "safelight"): 4,
        (ANNA.user_id, LARGE, "safelight"): 1,
        (BEN.user_id, ANY, "safelight"): 1,
    }
    assert await env.read(attempts.depths) == {Requirements(): 5, Requirements(LARGE): 1}
    keys = [QueueKey(ANNA.user_id), QueueKey(ANNA.user_id, LARGE), QueueKey(BEN.user_id)]
    assert set(await env.read(attempts.waiting_keys)) == set(keys)
    fence = await claim(env, ANNA)
    assert (await counts(env))[ANNA.user_id, ANY, "safelight"] == 3
    assert await env.read(jobs.remaining, ANNA) == 5
    await env.do(attempts.fail_attempt, fence, reason="gone", now=NOW)
    assert (await counts(env))[ANNA.user_id, ANY, "safelight"] == 4
    fence = await claim(env, ANNA)
    await env.do(attempts.requeue, fence, now=NOW)
    assert (await counts(env))[ANNA.user_id, ANY, "safelight"] == 4
    await complete(env, await claim(env, ANNA))
    await env.do(jobs.cancel, ANNA, job_id=JobId("b"), now=NOW)
    assert (await counts(env))[ANNA.user_id, ANY, "safelight"] == 2
    await env.do(jobs.cancel_queued, ANNA, job_ids=[JobId("c"), JobId("none")], now=NOW)
    await env.do(jobs.cancel_all_queued, ANNA, at_most=99, now=NOW)
    await env.do(jobs.forget_all, ANNA, at_most=99, now=NOW)
    assert await counts(env) == {(BEN.user_id, ANY, "safelight"): 1}
    assert await env.read(attempts.depths) == {Requirements(): 1}
    assert await env.read(jobs.remaining, ANNA) == 0


async def test_a_refused_change_changes_no_number(env: Env) -> None:
    await submit(env, ANNA, job_id="a")
    await claim(env, ANNA)
    before = await env.read(jobs.get, ANNA, job_id=JobId("a"))
    stale = before.summary.__class__(**{**_fields(before.summary), "attempt": 7})
    await env.do(lambda tx: job_rows.replace(tx.conn, stale, stale))
    assert await counts(env) == {}


def _fields(summary: Any) -> dict[str, Any]:
    return {name: getattr(summary, name) for name in summary.__dataclass_fields__}


@pytest.mark.parametrize(
    "read",
    [
        attempts.depths,
        attempts.waiting_keys,
        partial(jobs.remaining, who=ANNA),
        lambda tx: account_rows.count_queued(tx.conn, ANNA.user_id),
    ],
    ids=["depths", "waiting_keys", "remaining", "count_queued"],
)
async def test_the_waiting_are_told_without_a_look_at_the_queue(env: Env, read: Callable[[Transaction], Any]) -> None:
    for n in range(20):
        await submit(env, ANNA if n % 2 else BEN)
    steps: list[Step] = [step for plan in await env.read(lambda tx: plans(tx, lambda: read(tx))) for step in plan]
    queue = [step.text for step in steps if any(name in step.text for name in ("ix_job_queued", "ix_job_lane"))]
    assert queue == []
    assert [step.text for step in steps if step.table == "job" and RUNNING not in step.text] == []


async def test_the_ends_since_a_time_are_found_by_it(env: Env) -> None:
    for n in range(6):
        await submit(env, ANNA if n % 2 else BEN, job_id=f"j{n}")
    for n in range(3):
        for who in (ANNA, BEN):
            await complete(env, await claim(env, who), now=at(n))
    ends = await env.read(attempts.ends_since, at(1))
    assert sorted(event.job_id for event in ends if hasattr(event, "job_id")) == ["j2", "j3", "j4", "j5"]
    found = await env.read(lambda tx: plans(tx, lambda: attempts.ends_since(tx, at(1)), is_sorting_dear=True))
    assert found[0][-1].index == "ix_job_ended_at"
    assert [step.text for plan in found for step in plan if step.table == "job" and RUNNING not in step.text] == []
