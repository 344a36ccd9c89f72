"""An embedded installation moves to PostgreSQL."""

from pathlib import Path

import pysqlite3.dbapi2
import pytest
from sqlalchemy import text
from tests.database import ANNA, BEN, Env, kind, opened, url_of
from tests.services.jobs import claim, complete, picture, submit

from safelight.core.errors import Conflict, Invalid, Unavailable
from safelight.core.ids import JobId
from safelight.db.check import check
from safelight.db.copying import copy
from safelight.db.engine import Database
from safelight.services import job as jobs
from safelight.services import setting as settings

pytestmark = pytest.mark.anyio


async def fill(folder: Path) -> str:
    async with opened(folder) as db:
        env = Env(db, [])
        many = {f"k{number:04}ß": {"n": number, "of": None} for number in range(1200)}  # more than a chunk
        await env.do(settings.put, ANNA, values=many)
        await submit(env, ANNA, job_id="a")
        await complete(env, await claim(env, ANNA), outputs=[picture("a.png", node="9")])
        await submit(env, BEN, job_id="b")
    return url_of(folder)


async def test_every_row_is_copied_and_numbering_continues(tmp_path: Path, postgres_url: str) -> None:
    counts = await copy(await fill(tmp_path), postgres_url)
    assert (counts["user"], counts["setting"], counts["job"]) == (2, 1200, 2)
    db = await Database.open(postgres_url, on_commit=lambda events: None)
    try:
        env = Env(db, [])
        done = await env.read(jobs.get, ANNA, job_id=JobId("a"))
        assert done.summary.outputs_count == 1
        assert await env.read(settings.get, ANNA, key="k0007ß") == {"n": 7, "of": None}
        await submit(env, ANNA, job_id="c")
        assert (await claim(env, BEN)).job_id == "b"
    finally:
        await db.close()


async def test_a_target_with_rows_is_refused_and_not_changed(tmp_path: Path, postgres_url: str) -> None:
    source = await fill(tmp_path)
    db = await Database.open(postgres_url, on_commit=lambda events: None)
    await db.write(lambda tx: tx.conn.execute(text("INSERT INTO gate VALUES ('queue', 'paused')")))
    with pytest.raises(Conflict, match="'gate' has rows"):
        await copy(source, postgres_url)
    assert await db.read(lambda tx: tx.conn.execute(text('SELECT count(*) FROM "user"')).scalar_one()) == 0
    await db.close()


async def test_a_row_that_cannot_be_stored_leaves_nothing_behind(tmp_path: Path, postgres_url: str) -> None:
    """SQLite stores NUL characters in text, PostgreSQL does not."""
    source = await fill(tmp_path)
    db = await Database.open(source, on_commit=lambda events: None)
    await db.write(
        lambda tx: tx.conn.execute(text("UPDATE \"user\" SET name = 'be' || char(0) || 'n' WHERE id = 'ben'"))
    )
    await db.close()
    with pytest.raises(Invalid, match="NUL"):
        await copy(source, postgres_url)
    db = await Database.open(postgres_url, on_commit=lambda events: None)
    assert await db.read(lambda tx: tx.conn.execute(text("SELECT count(*) FROM setting")).scalar_one()) == 0
    await db.close()


async def test_a_copy_is_refused_while_a_server_runs(tmp_path: Path, postgres_url: str) -> None:
    source = await fill(tmp_path)
    for url in (source, postgres_url):
        db = await Database.open(url, on_commit=lambda events: None, is_server=True)
        with pytest.raises(Unavailable, match="another server"):
            await copy(source, postgres_url)
        await db.close()


async def test_a_check_changes_nothing(tmp_path: Path, postgres_url: str) -> None:
    assert (await check(postgres_url)).revision is None
    assert (await check(postgres_url)).revision is None
    await (await Database.open(postgres_url, on_commit=lambda events: None)).close()
    assert (await check(postgres_url)).is_current


async def test_a_check_finds_broken_foreign_keys(tmp_path: Path) -> None:
    with kind("sqlite"):
        source = await fill(tmp_path)
    assert (await check(source)).problems == []
    conn = pysqlite3.dbapi2.connect(source.removeprefix("sqlite:///"))
    conn.execute("DELETE FROM \"user\" WHERE id = 'ben'")
    conn.commit()
    conn.close()
    assert any("refers to a missing row of 'user'" in problem for problem in (await check(source)).problems)
