"""What housekeeping removes, and what it never touches."""

import os
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.database import ANNA, BEN, NOW, Env
from tests.services.files import new_file
from tests.services.jobs import claim, complete, picture, submit

from safelight.blobs.local import LocalBlobStore
from safelight.core.asset import FileName, Folder
from safelight.core.event import FilesChanged, JobForgotten
from safelight.core.retention import Amount, Kind, Retention
from safelight.core.user import Principal
from safelight.db import asset as asset_rows
from safelight.services import asset_library, named_files, retention
from safelight.services import attempt as attempts
from safelight.services import job as jobs
from safelight.services.housekeeping import Housekeeping
from safelight.services.maintenance_lock import maintenance_lock

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)
LATER = NOW + 10 * DAY
WEEK_S = 7 * 86400.0
RULES = Retention(previews=86400.0, outputs=WEEK_S, history=WEEK_S)


class FixedClock:
    def now(self) -> datetime:
        return LATER

    def monotonic_s(self) -> float:
        return 0.0


class MovingClock(FixedClock):
    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> datetime:
        return self.at


async def make(
    env: Env, who: Principal, *files: FileName, now: datetime = NOW, ends: bool = True, times: int = 1
) -> None:
    """A job of that user which makes the files."""
    await submit(env, who, now=now)
    fence = await claim(env, who, now=now)
    new = [new_file(file, file.filename.encode() * times) for file in files]
    outputs = [picture(file.filename, file.folder.value) for file in files]
    await env.do(attempts.record_outputs, fence, outputs=outputs, files=new, now=now)
    if ends:
        await complete(env, fence, now=now)


def output(name: str, folder: Folder = Folder.OUTPUT) -> FileName:
    return FileName(folder, "", name)


async def names(env: Env, who: Principal) -> set[str]:
    folders = (Folder.INPUT, Folder.OUTPUT, Folder.TEMP)
    found = [await env.read(named_files.list_files, who, folder=folder) for folder in folders]
    return {asset.file.filename for assets in found for asset in assets}


async def remove_all(env: Env, who: Principal, *kinds: Kind, rules: Retention = RULES) -> Amount:
    total = Amount()
    for kind in kinds or tuple(Kind):
        total += await env.do(retention.remove, who.user_id, kind=kind, retention=rules, at_most=100, now=LATER)
    return total


async def test_old_files_go_and_young_ones_stay(env: Env) -> None:
    await make(env, ANNA, output("old.png"), output("old_preview.png", Folder.TEMP))
    await make(env, ANNA, output("young.png"), output("two_days.png", Folder.TEMP), now=LATER - 2 * DAY)
    await make(env, ANNA, output("fresh.png", Folder.TEMP), now=LATER - DAY / 2)
    await env.do(
        named_files.upload, ANNA, new=new_file(output("in.png", Folder.INPUT), b"in"), overwrite=False, now=NOW
    )
    removed = await remove_all(env, ANNA, Kind.PREVIEWS, Kind.OUTPUTS)
    assert removed == Amount(3, len("old.png") + len("old_preview.png") + len("two_days.png"))
    assert await names(env, ANNA) == {"young.png", "fresh.png", "in.png"}


async def test_what_is_due_is_what_is_removed(env: Env) -> None:
    await make(env, ANNA, output("a.png"), output("b.png", Folder.TEMP))
    await make(env, BEN, output("c.png"))
    due = await env.read(retention.due, retention=RULES, now=LATER)
    assert due == {
        Kind.PREVIEWS: Amount(1, 5),
        Kind.OUTPUTS: Amount(2, 10),
        Kind.HISTORY: Amount(2),
        Kind.LOGS: Amount(),
    }
    total = await remove_all(env, ANNA) + await remove_all(env, BEN)
    assert total == sum(due.values(), Amount())
    assert set((await env.read(retention.due, retention=RULES, now=LATER)).values()) == {Amount()}


async def test_files_that_someone_keeps_stay(env: Env) -> None:
    await make(env, ANNA, output("tagged.png"), output("plain.png"))
    await make(env, ANNA, output("unfinished.png"), ends=False)
    found = await env.read(named_files.list_files, ANNA, folder=Folder.OUTPUT)
    [tagged] = [asset for asset in found if asset.file.filename == "tagged.png"]
    await env.do(asset_library.change_tags, ANNA, asset_id=tagged.id, add=["keep"])
    await remove_all(env, ANNA, Kind.OUTPUTS)
    assert await names(env, ANNA) == {"tagged.png"}
    assert await env.read(asset_rows_exist, ANNA, "unfinished.png"), "the output of a job that runs"


def asset_rows_exist(tx: object, who: Principal, name: str) -> bool:
    return asset_rows.find_named(tx.conn, who.user_id, file=output(name)) is not None  # type: ignore[attr-defined]


async def test_kept_files_do_not_hide_the_others_behind_them(env: Env) -> None:
    for number in range(5):
        await make(env, ANNA, output(f"kept_{number}.png"))
    for asset in await env.read(named_files.list_files, ANNA, folder=Folder.OUTPUT):
        await env.do(asset_library.change_tags, ANNA, asset_id=asset.id, add=["keep"])
    await make(env, ANNA, output("plain.png"))
    removed = await env.do(retention.remove, ANNA.user_id, kind=Kind.OUTPUTS, retention=RULES, at_most=3, now=LATER)
    assert removed.count == 1


async def test_old_jobs_leave_the_history_and_young_ones_stay(env: Env) -> None:
    await make(env, ANNA, now=NOW)
    await make(env, ANNA, now=LATER - DAY)
    await submit(env, ANNA, now=NOW)
    await make(env, BEN, now=NOW)
    env.take_events()
    assert await remove_all(env, ANNA, Kind.HISTORY) == Amount(1)
    assert [type(event) for event in env.take_events()] == [JobForgotten]
    assert await env.read(jobs.remaining, ANNA) == 1
    assert await remove_all(env, ANNA, Kind.HISTORY) == Amount()


async def test_the_history_keeps_the_latest_jobs_of_each_user(env: Env) -> None:
    for hour in range(5):
        await make(env, ANNA, now=NOW + timedelta(hours=hour))
    await make(env, BEN)
    rules = Retention(most_jobs=2)
    assert (await env.read(retention.due, retention=rules, now=LATER))[Kind.HISTORY] == Amount(3)
    assert await remove_all(env, ANNA, Kind.HISTORY, rules=rules) == Amount(3)
    assert await remove_all(env, BEN, Kind.HISTORY, rules=rules) == Amount()
    left = await env.read(jobs.history, ANNA, page=None, newest_first=False)
    assert [job.summary.ended_at for job in left] == [NOW + timedelta(hours=hour) for hour in (3, 4)]
    both = Retention(most_jobs=2, history=(LATER - NOW).total_seconds() - 3.5 * 3600)
    assert await remove_all(env, ANNA, Kind.HISTORY, rules=both) == Amount(1), "the stricter rule decides"


async def test_what_administrators_made_can_be_left(env: Env) -> None:
    await env.do(lambda tx: tx.conn.exec_driver_sql("UPDATE \"user\" SET is_admin = true WHERE id = 'anna'"))
    for who in (ANNA, BEN):
        await make(env, who, output("old.png"), output("preview.png", Folder.TEMP))
    rules = replace(RULES, spares_admins=True)
    due = await env.read(retention.due, retention=rules, now=LATER)
    assert (due[Kind.OUTPUTS].count, due[Kind.HISTORY].count, due[Kind.PREVIEWS].count) == (1, 1, 2)
    await remove_all(env, ANNA, rules=rules)
    assert await names(env, ANNA) == {"old.png"}


async def test_a_disk_stays_below_its_bound_under_steady_load(env: Env, tmp_path: Path) -> None:
    """Four days, faster: each hour brings files and jobs, and none of what users keep is lost."""
    clock, blobs = MovingClock(), LocalBlobStore(tmp_path / "blobs")
    rules = Retention(previews=2 * 3600.0, outputs=12 * 3600.0, history=24 * 3600.0)
    keeper = Housekeeping(env.db, blobs, clock, retention=rules, every_s=0.0, data_dir=tmp_path, database="sqlite")
    kept: set[str] = set()
    sizes = []
    for hour in range(96):
        for who in (ANNA, BEN):
            name = f"{hour:03}_{who.user_id}"
            files = [output(f"{name}.png"), output(f"{name}_preview.png", Folder.TEMP)]
            await make(env, who, *files, now=clock.now(), times=4096)
            for file in files:
                await store(blobs, file.filename.encode() * 4096, at=clock.now())
        if hour % 24 == 0:
            listed = await env.read(named_files.list_files, ANNA, folder=Folder.OUTPUT)
            [asset] = [asset for asset in listed if asset.name.startswith(f"{hour:03}")]
            await env.do(asset_library.change_tags, ANNA, asset_id=asset.id, add=["keep"])
            kept.add(asset.name)
        clock.at += timedelta(hours=1)
        if hour % 6 == 5:
            await keeper.run_once()
            sizes.append(sum([blob.size async for blob in blobs.scan()]))
    assert max(sizes[4:]) <= 1.3 * min(sizes[4:]), sizes
    assert kept <= await names(env, ANNA)
    digests = [blob.digest async for blob in blobs.scan()]
    found = await env.read(named_files.list_files, ANNA, folder=Folder.OUTPUT)
    assert {asset.digest for asset in found if asset.name in kept} <= set(digests)
    assert len(await env.read(jobs.history, ANNA, page=None, newest_first=True)) <= 24 + 6


async def test_without_an_age_nothing_goes(env: Env) -> None:
    await make(env, ANNA, output("a.png"), output("b.png", Folder.TEMP))
    assert await remove_all(env, ANNA, rules=Retention()) == Amount()
    assert await names(env, ANNA) == {"a.png", "b.png"}


async def test_listeners_learn_that_files_have_changed(env: Env) -> None:
    await make(env, ANNA, output("a.png"))
    env.take_events()
    await remove_all(env, ANNA, Kind.OUTPUTS)
    assert env.take_events() == [FilesChanged(ANNA.user_id)]


async def store(blobs: LocalBlobStore, data: bytes, *, at: datetime = NOW) -> None:
    writer = blobs.writer()
    await writer.write(data)
    digest, _ = await writer.finish()
    os.utime(blobs.local_path(digest) or "", (at.timestamp(), at.timestamp()))


async def test_a_run_removes_files_and_frees_their_bytes(env: Env, tmp_path: Path) -> None:
    blobs = LocalBlobStore(tmp_path / "blobs")
    for name in ("old.png", "young.png"):
        await store(blobs, name.encode())
    await make(env, ANNA, output("old.png"))
    await make(env, ANNA, output("young.png"), now=LATER - DAY)
    keeper = Housekeeping(
        env.db, blobs, FixedClock(), retention=RULES, every_s=0.0, data_dir=tmp_path, database="sqlite"
    )
    report = await keeper.run_once()
    assert report.removed[Kind.OUTPUTS] == Amount(1, 7)
    assert report.freed == Amount(1, 7)
    assert (report.error, keeper.last) == ("", report)
    assert [blob.size async for blob in blobs.scan()] == [len("young.png")]


async def test_bytes_stay_while_a_backup_copies_them(env: Env, tmp_path: Path) -> None:
    blobs = LocalBlobStore(tmp_path / "blobs")
    await store(blobs, b"old.png")
    await make(env, ANNA, output("old.png"))
    keeper = Housekeeping(
        env.db, blobs, FixedClock(), retention=RULES, every_s=0.0, data_dir=tmp_path, database="sqlite"
    )
    async with maintenance_lock(tmp_path, database="sqlite"):
        report = await keeper.run_once()
    assert (report.removed[Kind.OUTPUTS].count, report.freed) == (1, None)
    assert [blob.size async for blob in blobs.scan()] == [7]
    assert (await keeper.run_once()).freed == Amount(1, 7)
