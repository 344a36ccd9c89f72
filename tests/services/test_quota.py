"""Quotas of users: at the limit, one beyond it, and other users' work does not count."""

from typing import Any

import pytest
from tests.database import BEN, NOW, Env
from tests.services.files import new_file
from tests.services.jobs import submit

from safelight.core.asset import FileName, Folder
from safelight.core.errors import TooLarge
from safelight.core.job import Fence, JobState
from safelight.core.pool import QueueKey
from safelight.core.user import BudgetSpent, Principal, Quota, QuotaReached
from safelight.services import attempt as attempts
from safelight.services import named_files, userdata
from safelight.services import setting as settings
from safelight.services import user as users
from safelight.services import workflow as workflows
from safelight.services.workflow import NewWorkflow

pytestmark = pytest.mark.anyio


async def limited(env: Env, **limits: Any) -> Principal:
    account = await env.do(users.add, name="carol", is_admin=False, now=NOW)
    await env.do(users.set_quota, name="carol", quota=Quota(**limits))
    return account.principal


async def store(env: Env, who: Principal, name: str, data: bytes, *, overwrite: bool = False) -> None:
    new = new_file(FileName(Folder.INPUT, "", name), data)
    await env.do(named_files.upload, who, new=new, overwrite=overwrite, now=NOW)


async def test_queued_jobs(env: Env) -> None:
    carol = await limited(env, queued_jobs=2)
    for _ in range(3):
        await submit(env, BEN)
    for _ in range(2):
        await submit(env, carol)
    with pytest.raises(QuotaReached, match="You may have 2 jobs waiting, and have 2"):
        await submit(env, carol)
    await env.do(attempts.claim_next, keys=[QueueKey(carol.user_id)], now=NOW)  # it runs and no longer waits
    await submit(env, carol)


async def test_running_jobs(env: Env) -> None:
    carol = await limited(env, running_jobs=1)
    for _ in range(2):
        await submit(env, carol)
        await submit(env, BEN)
    first = await env.do(attempts.claim_next, keys=[QueueKey(carol.user_id)], now=NOW)
    claim = await env.do(attempts.claim_next, keys=[QueueKey(carol.user_id), QueueKey(BEN.user_id)], now=NOW)
    assert claim.at_limit == [QueueKey(carol.user_id)]
    assert claim.job.summary.owner_id == BEN.user_id
    fence = Fence(first.job.id, first.job.summary.attempt)
    await env.do(attempts.finish, fence, outcome=JobState.COMPLETED, now=NOW)
    claim = await env.do(attempts.claim_next, keys=[QueueKey(carol.user_id)], now=NOW)
    assert (claim.at_limit, claim.job.summary.owner_id) == ([], carol.user_id)


async def test_device_seconds(env: Env) -> None:
    carol = await limited(env, device_s=10.0)
    for seconds in (9.5, 1.0):
        job = await submit(env, carol)
        await env.do(attempts.claim_next, keys=[QueueKey(carol.user_id)], now=NOW)
        await env.do(attempts.finish, Fence(job.id, 1), outcome=JobState.COMPLETED, device_s=seconds, now=NOW)
    assert (await env.read(users.find, carol)).used_device_s == 10.5
    with pytest.raises(BudgetSpent, match="Your 10 device-seconds are used up"):
        await submit(env, carol)
    await env.do(users.reset_device_s, name="carol")
    await submit(env, carol)


async def test_stored_bytes(env: Env) -> None:
    carol = await limited(env, stored_bytes=10)
    await store(env, BEN, "a.png", b"x" * 100)
    await store(env, carol, "a.png", b"12345")
    await store(env, carol, "b.png", b"67890")
    await store(env, carol, "a.png", b"12345")  # it exists already
    with pytest.raises(TooLarge, match="You may store 10 bytes; with this it would be 11"):
        await store(env, carol, "c.png", b"!")
    await store(env, carol, "a.png", b"other", overwrite=True)
    with pytest.raises(TooLarge):
        await store(env, carol, "a.png", b"larger", overwrite=True)
    with pytest.raises(QuotaReached, match="delete some first"):
        await submit(env, carol)


async def test_a_user_without_limits_has_none(env: Env) -> None:
    carol = await limited(env)
    for number in range(30):
        await submit(env, carol)
        await store(env, carol, f"{number}.png", b"x" * number)


BIG = "x" * 2000


async def fill_userdata(env: Env, who: Principal) -> None:
    await env.do(userdata.write, who, path="workflows/a.json", content=BIG.encode(), overwrite=True, now=NOW)


async def fill_settings(env: Env, who: Principal) -> None:
    await env.do(settings.put, who, values={"a": BIG})


async def fill_workflows(env: Env, who: Principal) -> None:
    await env.do(workflows.create, who, new=NewWorkflow(content={"a": BIG}), now=NOW)


async def fill_history(env: Env, who: Principal) -> None:
    await submit(env, who, extra_data={"extra_pnginfo": {"a": BIG}})


FILLERS = {"userdata": fill_userdata, "settings": fill_settings, "workflows": fill_workflows, "jobs": fill_history}


@pytest.mark.parametrize("first", FILLERS)
@pytest.mark.parametrize("second", FILLERS)
async def test_all_that_a_user_stores_counts(env: Env, first: str, second: str) -> None:
    """Room for one: the second is refused, of whatever kind they are, unless it replaces the first."""
    carol = await limited(env, stored_bytes=3500)
    await FILLERS[first](env, carol)
    if first == second and first in ("userdata", "settings"):
        await FILLERS[second](env, carol)
        return
    with pytest.raises(QuotaReached if second == "jobs" else TooLarge, match="You may store 3500 bytes"):
        await FILLERS[second](env, carol)
    for fill in FILLERS.values():
        await fill(env, BEN)
