"""Ben tries every operation on Anna's objects: the results tell nothing about them, and nothing changes."""

from typing import Any

import pytest
from tests.database import ANNA, BEN, NOW, Env
from tests.services.files import new_file
from tests.services.jobs import claim, complete, picture, submit

from safelight.core.asset import FileName, Folder
from safelight.core.errors import NotFound
from safelight.core.ids import JobId
from safelight.core.job import JobState
from safelight.core.paging import PageRequest
from safelight.services import asset_access, job, named_files, setting, userdata

pytestmark = pytest.mark.anyio

FILE = FileName(Folder.INPUT, "", "cat.png")
IDS = [JobId("done"), JobId("runs"), JobId("waits")]


async def make_objects(env: Env) -> None:
    await env.do(named_files.upload, ANNA, new=new_file(FILE, b"cat"), overwrite=False, now=NOW)
    await env.do(userdata.write, ANNA, path="w/a.json", content=b"{}", overwrite=True, now=NOW)
    await env.do(setting.put, ANNA, values={"k": 1})
    for job_id in IDS:
        await submit(env, ANNA, job_id=job_id, workflow_id="w")
    await complete(env, await claim(env, ANNA), outputs=[picture("a.png")])
    await claim(env, ANNA)


async def everything(env: Env) -> Any:
    page = await env.read(job.list, ANNA, states=(), page=PageRequest(10))
    return (
        [await env.read(job.get, ANNA, job_id=j.id) for j in page.items],
        await env.read(named_files.list_files, ANNA, folder=Folder.INPUT),
        await env.read(userdata.list, ANNA, directory="", recurse=True),
        await env.read(setting.load, ANNA),
    )


NOTHING: dict[str, Any] = {
    "queue": (lambda tx: job.queue(tx, BEN), ([], [])),
    "remaining": (lambda tx: job.remaining(tx, BEN), 0),
    "history": (lambda tx: job.history(tx, BEN, page=None, newest_first=True), []),
    "list": (lambda tx: job.list(tx, BEN, states=set(JobState), page=PageRequest(9)).items, []),
    "list some": (lambda tx: job.list(tx, BEN, states={JobState.COMPLETED}, page=PageRequest(9)).total, 0),
    "list workflow": (lambda tx: job.list(tx, BEN, states=(), workflow_id="w", page=PageRequest(9)).total, 0),
    "list images": (lambda tx: job.list(tx, BEN, states=(), output_type="image", page=PageRequest(9)).total, 0),
    "cancel queued": (lambda tx: job.cancel_queued(tx, BEN, job_ids=IDS, now=NOW), []),
    "cancel all queued": (lambda tx: job.cancel_all_queued(tx, BEN, at_most=9, now=NOW), []),
    "interrupt": (lambda tx: job.interrupt(tx, BEN, job_id=JobId("runs"), now=NOW), []),
    "interrupt all": (lambda tx: job.interrupt(tx, BEN, job_id=None, now=NOW), []),
    "forget": (lambda tx: job.forget(tx, BEN, job_ids=IDS, now=NOW), None),
    "forget all": (lambda tx: job.forget_all(tx, BEN, at_most=9, now=NOW), 0),
    "files": (lambda tx: named_files.list_files(tx, BEN, folder=Folder.INPUT), []),
    "named": (lambda tx: named_files.files_named(tx, BEN, names=["cat.png"]), {}),
    "userdata": (lambda tx: userdata.list(tx, BEN, directory="", recurse=True), []),
    "settings": (lambda tx: setting.load(tx, BEN), {}),
    "setting": (lambda tx: setting.get(tx, BEN, key="k"), None),
}
NOT_FOUND: dict[str, Any] = {
    "get done": lambda tx: job.get(tx, BEN, job_id=JobId("done")),
    "get running": lambda tx: job.get(tx, BEN, job_id=JobId("runs")),
    "cancel waiting": lambda tx: job.cancel(tx, BEN, job_id=JobId("waits"), now=NOW),
    "cancel running": lambda tx: job.cancel(tx, BEN, job_id=JobId("runs"), now=NOW),
    "cancel done": lambda tx: job.cancel(tx, BEN, job_id=JobId("done"), now=NOW),
    "file": lambda tx: asset_access.by_file_name(tx, BEN, file=FILE),
    "read userdata": lambda tx: userdata.read(tx, BEN, path="w/a.json"),
    "stat userdata": lambda tx: userdata.stat(tx, BEN, path="w/a.json"),
    "list folder": lambda tx: userdata.list(tx, BEN, directory="w", recurse=True),
    "move userdata": lambda tx: userdata.move(tx, BEN, path="w/a.json", to="b.json", overwrite=True),
    "remove userdata": lambda tx: userdata.remove(tx, BEN, path="w/a.json"),
}


async def test_another_user_learns_nothing_and_changes_nothing(env: Env) -> None:
    await make_objects(env)
    before = await everything(env)
    env.take_events()
    for what, (act, expected) in NOTHING.items():
        assert await env.do(act) == expected, what
    for act in NOT_FOUND.values():
        with pytest.raises(NotFound):
            await env.do(act)
    assert env.take_events() == []
    assert await everything(env) == before


async def test_what_is_another_users_sounds_like_what_does_not_exist(env: Env) -> None:
    async def answer() -> list[str]:
        answers = []
        for act in NOT_FOUND.values():
            with pytest.raises(NotFound) as raised:
                await env.do(act)
            answers.append(f"{raised.value.code}: {raised.value.message}")
        return answers

    nothing_there = await answer()
    await make_objects(env)
    assert await answer() == nothing_there
