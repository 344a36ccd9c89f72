"""Caps of users: at the limit, one beyond it, and that nobody else's work counts."""

from typing import Any

import pytest
from tests.database import BEN, NOW, Desk
from tests.services.files import new_file
from tests.services.jobs import submit

from safelight.core.asset import FileName, Folder
from safelight.core.errors import TooLarge
from safelight.core.job import Fence, JobState
from safelight.core.pool import QueueKey
from safelight.core.user import BudgetSpent, Principal, Quota, QuotaReached
from safelight.services import asset as assets
from safelight.services import attempt as attempts
from safelight.services import setting as settings
from safelight.services import user as users
from safelight.services import userdata
from safelight.services import workflow as workflows
from safelight.services.workflow import NewWorkflow

pytestmark = pytest.mark.anyio


async def limited(desk: Desk, **limits: Any) -> Principal:
    account = await desk.do(users.add, name="carol", is_admin=False, now=NOW)
    await desk.do(users.set_quota, name="carol", quota=Quota(**limits))
    return account.principal


async def store(desk: Desk, who: Principal, name: str, data: bytes, *, overwrite: bool = False) -> None:
    new = new_file(FileName(Folder.INPUT, "", name), data)
    await desk.do(assets.upload, who, new=new, overwrite=overwrite, now=NOW)


async def test_queued_jobs(desk: Desk) -> None:
    carol = await limited(desk, queued_jobs=2)
    for _ in range(3):
        await submit(desk, BEN)
    for _ in range(2):
        await submit(desk, carol)
    with pytest.raises(QuotaReached, match="You may have 2 jobs waiting, and have 2"):
        await submit(desk, carol)
    await desk.do(attempts.claim_next, keys=[QueueKey(carol.user_id)], now=NOW)  # runs, and waits no more
    await submit(desk, carol)


async def test_running_jobs(desk: Desk) -> None:
    carol = await limited(desk, running_jobs=1)
    for _ in range(2):
        await submit(desk, carol)
        await submit(desk, BEN)
    first = await desk.do(attempts.claim_next, keys=[QueueKey(carol.user_id)], now=NOW)
    claim = await desk.do(attempts.claim_next, keys=[QueueKey(carol.user_id), QueueKey(BEN.user_id)], now=NOW)
    assert claim.at_limit == [QueueKey(carol.user_id)]
    assert claim.job.summary.owner_id == BEN.user_id
    fence = Fence(first.job.id, first.job.summary.attempt)
    await desk.do(attempts.finish, fence, outcome=JobState.COMPLETED, now=NOW)
    claim = await desk.do(attempts.claim_next, keys=[QueueKey(carol.user_id)], now=NOW)
    assert (claim.at_limit, claim.job.summary.owner_id) == ([], carol.user_id)


async def test_device_seconds(desk: Desk) -> None:
    carol = await limited(desk, device_s=10.0)
    for seconds in (9.5, 1.0):
        job = await submit(desk, carol)
        await desk.do(attempts.claim_next, keys=[QueueKey(carol.user_id)], now=NOW)
        await desk.do(attempts.finish, Fence(job.id, 1), outcome=JobState.COMPLETED, device_s=seconds, now=NOW)
    assert (await desk.look(users.find, carol)).used_device_s == 10.5
    with pytest.raises(BudgetSpent, match="Your 10 device-seconds are used up"):
        await submit(desk, carol)
    await desk.do(users.reset_device_s, name="carol")
    await submit(desk, carol)


async def test_stored_bytes(desk: Desk) -> None:
    carol = await limited(desk, stored_bytes=10)
    await store(desk, BEN, "a.png", b"x" * 100)
    await store(desk, carol, "a.png", b"12345")
    await store(desk, carol, "b.png", b"67890")
    await store(desk, carol, "a.png", b"12345")  # it is there
    with pytest.raises(TooLarge, match="You may store 10 bytes; with this it would be 11"):
        await store(desk, carol, "c.png", b"!")
    await store(desk, carol, "a.png", b"other", overwrite=True)
    with pytest.raises(TooLarge):
        await store(desk, carol, "a.png", b"larger", overwrite=True)
    with pytest.raises(QuotaReached, match="delete some first"):
        await submit(desk, carol)


async def test_a_user_without_limits_has_none(desk: Desk) -> None:
    carol = await limited(desk)
    for number in range(30):
        await submit(desk, carol)
        await store(desk, carol, f"{number}.png", b"x" * number)


BIG = "x" * 2000


async def fill_userdata(desk: Desk, who: Principal) -> None:
    await desk.do(userdata.write, who, path="workflows/a.json", content=BIG.encode(), overwrite=True, now=NOW)


async def fill_settings(desk: Desk, who: Principal) -> None:
    await desk.do(settings.put, who, values={"a": BIG})


async def fill_workflows(desk: Desk, who: Principal) -> None:
    await desk.do(workflows.create, who, new=NewWorkflow(content={"a": BIG}), now=NOW)


async def fill_history(desk: Desk, who: Principal) -> None:
    await submit(desk, who, extra_data={"extra_pnginfo": {"a": BIG}})


FILLERS = {"userdata": fill_userdata, "settings": fill_settings, "workflows": fill_workflows, "jobs": fill_history}


@pytest.mark.parametrize("first", FILLERS)
@pytest.mark.parametrize("second", FILLERS)
async def test_all_that_a_user_stores_counts(desk: Desk, first: str, second: str) -> None:
    """Room for one: the second is refused, whatever the two are, unless it takes the first one's place."""
    carol = await limited(desk, stored_bytes=3500)
    await FILLERS[first](desk, carol)
    if first == second and first in ("userdata", "settings"):
        await FILLERS[second](desk, carol)
        return
    with pytest.raises(QuotaReached if second == "jobs" else TooLarge, match="You may store 3500 bytes"):
        await FILLERS[second](desk, carol)
    for fill in FILLERS.values():
        await fill(desk, BEN)
