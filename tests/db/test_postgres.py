"""What only PostgreSQL can do: several servers at once, and connections that break."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from sqlalchemy import select, update
from tests.database import ANNA, add_users

from safelight.core.errors import Invalid, Unavailable
from safelight.db import setting
from safelight.db.engine import Database
from safelight.db.tables import user
from safelight.db.transaction import Transaction

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    db = await Database.open(url, on_commit=lambda events: None)
    try:
        yield db
    finally:
        await db.close()


def count_up(tx: Transaction) -> int:
    """Read a value and write the next: two of these must not overlap."""
    mine = user.c.id == ANNA.user_id
    number = tx.conn.execute(select(user.c.job_counter).where(mine)).scalar_one()
    tx.conn.execute(update(user).where(mine).values(job_counter=number + 1))
    return number + 1


async def end_all_connections(url: str) -> None:
    conn = await asyncpg.connect(url)
    await conn.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> $1",
        conn.get_server_pid(),
    )
    await conn.close()


async def test_servers_that_start_together_create_the_tables_once(postgres_url: str) -> None:
    opening = [Database.open(postgres_url, on_commit=lambda events: None) for _ in range(4)]
    for db in await asyncio.gather(*opening):
        assert await db.read(lambda tx: tx.conn.execute(select(user.c.id)).all()) == []
        await db.close()


async def test_writes_of_several_servers_are_serial(postgres_url: str) -> None:
    async with opened(postgres_url) as one, opened(postgres_url) as other:
        await one.write(add_users)
        numbers = await asyncio.gather(*(db.write(count_up) for _ in range(100) for db in (one, other)))
        assert sorted(numbers) == list(range(1, 201))


async def test_broken_connections_are_replaced(postgres_url: str) -> None:
    async with opened(postgres_url) as db:
        await db.write(add_users)
        for _ in range(3):
            await asyncio.gather(*(db.read(lambda tx: tx.conn.execute(select(user.c.id)).all()) for _ in range(5)))
            await end_all_connections(postgres_url)
            number = await db.write(count_up)
            await end_all_connections(postgres_url)
            seen = await db.read(lambda tx: tx.conn.execute(select(user.c.job_counter)).scalars().all())
            assert number in seen


async def test_a_group_whose_connection_breaks_is_rolled_back(postgres_url: str) -> None:
    def cut_off(tx: Transaction) -> None:
        count_up(tx)
        tx.conn.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")

    async with opened(postgres_url) as db:
        await db.write(add_users)
        writes = [db.enqueue(count_up), db.enqueue(cut_off), db.enqueue(count_up)]
        results = await asyncio.gather(*writes, return_exceptions=True)
        assert isinstance(results[0], Unavailable)
        assert isinstance(results[1], Unavailable)
        assert results[2] == 1
        assert await db.write(count_up) == 2


async def test_a_cancelled_read_leaves_a_usable_connection(postgres_url: str) -> None:
    async with opened(postgres_url) as db:
        reads = [
            asyncio.ensure_future(db.read(lambda tx: tx.conn.exec_driver_sql("SELECT pg_sleep(0.05)").all()))
            for _ in range(20)
        ]
        await asyncio.sleep(0.02)
        for read in reads:
            read.cancel()
        assert await db.read(lambda tx: tx.conn.exec_driver_sql("SELECT 1").scalar()) == 1


async def test_writes_that_are_not_durable_do_not_wait_for_the_disk(postgres_url: str) -> None:
    """The setting applies to the commit, so it is read just before it."""
    async with opened(postgres_url) as db:
        await db.write(add_users)
        assert await db.write(count_up, is_durable=False) == 1
        setting_now = await db.write(lambda tx: tx.conn.exec_driver_sql("SHOW synchronous_commit").scalar())
        assert setting_now == "on"


async def test_a_nul_character_is_refused(postgres_url: str) -> None:
    async with opened(postgres_url) as db:
        await db.write(add_users)
        with pytest.raises(Invalid, match="NUL"):
            await db.write(lambda tx: setting.put(tx.conn, ANNA.user_id, values={"a\0b": 1}))
        await db.write(lambda tx: setting.put(tx.conn, ANNA.user_id, values={"ab": "a\0b"}))
        assert await db.read(lambda tx: setting.load(tx.conn, ANNA.user_id)) == {"ab": "a\0b"}


async def test_a_database_of_another_program_is_left_alone(postgres_url: str) -> None:
    conn = await asyncpg.connect(postgres_url)
    await conn.execute("CREATE TABLE bookmarks (id int)")
    await conn.close()
    with pytest.raises(Unavailable, match="bookmarks"):
        await Database.open(postgres_url, on_commit=lambda events: None)


async def test_a_database_of_a_newer_safelight_is_left_alone(postgres_url: str) -> None:
    async with opened(postgres_url) as db:
        await db.write(lambda tx: tx.conn.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Unavailable, match="newer Safelight"):
        await Database.open(postgres_url, on_commit=lambda events: None)


async def test_a_database_has_one_server(postgres_url: str) -> None:
    first = await Database.open(postgres_url, on_commit=lambda events: None, is_server=True)
    with pytest.raises(Unavailable, match="another server is running on the database postgresql://"):
        await Database.open(postgres_url, on_commit=lambda events: None, is_server=True)
    await first.close()
    second = await Database.open(postgres_url, on_commit=lambda events: None, is_server=True)
    await second.close()


async def test_a_server_that_lost_its_lock_takes_it_again_or_stops_writing(postgres_url: str) -> None:
    first = await Database.open(postgres_url, on_commit=lambda events: None, is_server=True)
    await first.write(add_users)
    await end_all_connections(postgres_url)
    assert await first.write(count_up) == 1
    with pytest.raises(Unavailable, match="another server"):
        await Database.open(postgres_url, on_commit=lambda events: None, is_server=True)

    await end_all_connections(postgres_url)
    second = await Database.open(postgres_url, on_commit=lambda events: None, is_server=True)
    with pytest.raises(Unavailable, match="another server"):
        await first.write(count_up)
    assert await second.write(count_up) == 2
    await second.close()
    assert await first.write(count_up) == 3
    await first.close()
