"""A restore drill: a backup of PostgreSQL and S3 is restored to others, and both are compared completely."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from tests import postgres
from tests.database import ANNA, BEN, NOW, Env, add_users
from tests.seaweedfs import SeaweedFS
from tests.services.files import new_file
from tests.services.jobs import claim, complete, picture, submit

from safelight.blobs.local import LocalBlobStore
from safelight.blobs.store import BlobStore
from safelight.blobs.stores import open_store
from safelight.core.asset import FileName, Folder
from safelight.core.digest import Digest
from safelight.core.errors import Conflict, Unavailable
from safelight.core.kept_log import KeptLog
from safelight.core.retention import Retention
from safelight.db import tables
from safelight.db.engine import Database
from safelight.services import asset_library, blob_check, job_log, named_files, scheduled_backup
from safelight.services import attempt as attempts
from safelight.services.asset_library import AssetFilter
from safelight.services.backup import back_up, read_manifest, restore
from safelight.services.blob_check import Condition
from safelight.services.housekeeping import Housekeeping
from safelight.services.maintenance_lock import maintenance_lock
from safelight.services.scheduled_backup import BackupPlan, backups

pytestmark = pytest.mark.anyio

Rows = Mapping[str, list[tuple[Any, ...]]]


@dataclass
class Installation:
    """``url``: of its database."""

    url: str
    blobs: BlobStore

    async def rows(self) -> Rows:
        async with self.opened() as env:
            return await env.db.read(
                lambda tx: {
                    table.name: [tuple(row) for row in tx.conn.execute(select(table).order_by(*table.primary_key))]
                    for table in tables.metadata.sorted_tables
                }
            )

    async def bytes(self) -> Mapping[Digest, bytes]:
        digests = [blob.digest async for blob in self.blobs.scan()]
        return {digest: b"".join([chunk async for chunk in self.blobs.read(digest)]) for digest in digests}

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Env]:
        db = await Database.open(self.url, on_commit=lambda events: None)
        try:
            yield Env(db, [])
        finally:
            await db.close()

    async def fill(self, names: list[str]) -> None:
        """A job for each name, which makes a file of that name and logs a line."""
        async with self.opened() as env:
            await env.db.write(add_users)
            for name in names:
                file = FileName(Folder.OUTPUT, "", name)
                new = new_file(file, name.encode())
                writer = self.blobs.writer()
                await writer.write(name.encode())
                assert (await writer.finish())[0] == new.digest
                job = await submit(env, ANNA)
                fence = await claim(env, ANNA)
                await env.do(attempts.record_outputs, fence, outputs=[picture(name)], files=[new], now=NOW)
                await complete(env, fence)
                await env.do(job_log.append, ANNA.user_id, job_id=job.id, log=KeptLog([(NOW, f"{name}\n")]))
            await submit(env, BEN)


async def conditions(env: Env, blobs: BlobStore) -> Counter[Condition]:
    return Counter([found.condition async for found in blob_check.verify(env.db, blobs, before=NOW)])


@contextmanager
def installation(server: str, s3: SeaweedFS, name: str, folder: Path) -> Iterator[Installation]:
    """PostgreSQL and S3, both empty."""
    url = postgres.create_database(server, name)
    try:
        yield Installation(url, open_store(s3.store_config(f"{name.replace('_', '-')}/files", folder=folder)).blobs)
    finally:
        postgres.drop_database(server, name)


@pytest.fixture
def source(postgres_server: str, s3: SeaweedFS, tmp_path: Path) -> Iterator[Installation]:
    with installation(postgres_server, s3, "drill_source", tmp_path) as made:
        yield made


@pytest.fixture
def target(postgres_server: str, s3: SeaweedFS, tmp_path: Path) -> Iterator[Installation]:
    with installation(postgres_server, s3, "drill_target", tmp_path) as made:
        yield made


NAMES = [f"picture_{number:03}.png" for number in range(12)]


async def test_postgresql_and_s3_are_restored_row_by_row_and_byte_by_byte(
    source: Installation, target: Installation, tmp_path: Path
) -> None:
    await source.fill(NAMES)
    manifest = await back_up(source.url, source.blobs, folder=tmp_path / "backup", now=NOW)
    assert (manifest.blobs, manifest.lost) == (len(NAMES), [])
    rows = await source.rows()
    assert len(rows["job"]) == len(NAMES) + 1
    assert len(rows["job_log"]) == len(NAMES)

    await restore(tmp_path / "backup", database=tmp_path / "none.db", blobs=target.blobs, postgres=target.url)
    assert await target.rows() == rows
    restored = await target.bytes()
    assert restored == await source.bytes()
    assert sorted(restored.values()) == sorted(name.encode() for name in NAMES)
    async with target.opened() as env:
        assert await conditions(env, target.blobs) == {Condition.WHOLE: len(NAMES)}
        await submit(env, ANNA)  # numbering continues
    with pytest.raises(Conflict, match="not empty"):
        await restore(tmp_path / "backup", database=tmp_path / "none.db", blobs=target.blobs, postgres=target.url)


async def test_a_backup_of_postgresql_becomes_an_installation_on_one_machine(
    source: Installation, tmp_path: Path
) -> None:
    await source.fill(NAMES)
    await back_up(source.url, source.blobs, folder=tmp_path / "backup", now=NOW)
    local = Installation(f"sqlite:///{tmp_path}/new.db", LocalBlobStore(tmp_path / "blobs"))
    await restore(tmp_path / "backup", database=tmp_path / "new.db", blobs=local.blobs)
    assert await local.rows() == await source.rows()
    assert await local.bytes() == await source.bytes()
    async with local.opened() as env:  # SQLite finds names by an index that PostgreSQL does not have
        page = await env.read(asset_library.list, ANNA, wanted=AssetFilter(name_contains="ture_007"), limit=10)
        assert [asset.name for asset in page.assets] == ["picture_007.png"]


async def test_what_is_written_during_a_backup_is_in_it_whole_or_not_at_all(
    source: Installation, target: Installation, tmp_path: Path
) -> None:
    await source.fill(NAMES[:2])
    writing = asyncio.create_task(source.fill(NAMES[2:]))
    await back_up(source.url, source.blobs, folder=tmp_path / "backup", now=NOW)
    await writing
    copied = await restore(tmp_path / "backup", database=tmp_path / "no.db", blobs=target.blobs, postgres=target.url)
    assert copied.lost == []
    async with target.opened() as env:
        assert (await conditions(env, target.blobs)).keys() == {Condition.WHOLE}
        made = await env.read(named_files.list_files, ANNA, folder=Folder.OUTPUT)
    assert len(made) >= 2


async def test_bytes_are_not_removed_while_a_backup_of_the_same_database_copies_them(
    source: Installation, tmp_path: Path
) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    async with maintenance_lock(tmp_path / "a", database=source.url):
        with pytest.raises(Unavailable, match="gc or backup"):
            async with maintenance_lock(tmp_path / "b", database=source.url):
                pass
    async with maintenance_lock(tmp_path / "b", database=source.url):
        pass


async def test_housekeeping_makes_backups_when_they_are_due_and_keeps_the_newest(
    source: Installation, tmp_path: Path
) -> None:
    plan = BackupPlan(tmp_path / "backups", every_s=86400.0, kept=2)
    clock = Clock()
    async with source.opened() as env:
        keeper = Housekeeping(
            env.db, source.blobs, clock, retention=Retention(), every_s=0.0, data_dir=tmp_path,
            database=source.url, plan=plan,
        )  # fmt: skip
        for day in range(4):
            await source.fill([NAMES[day]])
            assert (await keeper.run_once()).backup is not None
            clock.at += timedelta(hours=12)
            assert (await keeper.run_once()).backup is None
            clock.at += timedelta(hours=12)
    kept = backups(plan)
    assert [backup.manifest.blobs for backup in kept] == [3, 4]
    assert sorted(path.name for path in plan.folder.iterdir()) == [backup.folder.name for backup in kept]
    older, newer = (LocalBlobStore(backup.folder / "blobs") for backup in kept)
    shared = [blob.digest async for blob in older.scan()]
    for digest in shared:
        paths = older.local_path(digest), newer.local_path(digest)
        assert paths[0] is not None
        assert paths[1] is not None
        assert paths[0].samefile(paths[1]), "an unchanged file takes no space again"


async def test_an_interrupted_backup_is_no_backup_and_is_removed(source: Installation, tmp_path: Path) -> None:
    plan = BackupPlan(tmp_path / "backups", every_s=1.0, kept=3)
    (plan.folder / "20250101T000000Z" / "blobs").mkdir(parents=True)
    (plan.folder / "notes").mkdir()
    assert scheduled_backup.is_due(plan, now=NOW)
    await source.fill(NAMES[:1])
    made = await scheduled_backup.make(plan, source.url, source.blobs, now=NOW)
    assert read_manifest(made.folder).blobs == 1
    assert {path.name for path in plan.folder.iterdir()} == {"notes", made.folder.name}


class Clock:
    def __init__(self) -> None:
        self.at = NOW + timedelta(days=1)

    def now(self) -> Any:
        return self.at

    def monotonic_s(self) -> float:
        return 0.0
