"""Transactions: group commit, isolation within a group, events after the commit."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.database import ANNA, NOW, add_users, is_sqlite, opened, url_of

from safelight.core.errors import Conflict, Unavailable
from safelight.core.event import Event, QueueChanged
from safelight.core.ids import UserId
from safelight.db import setting
from safelight.db.engine import Database
from safelight.db.tables import user
from safelight.db.transaction import Transaction

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("each_database")]


@pytest.fixture
def only_sqlite(each_database: str) -> None:
    if each_database != "sqlite":
        pytest.skip("is about SQLite")


@contextmanager
def gathering(db: Database) -> Iterator[None]:
    """Writes enqueued in the block wait, and become one group. (PostgreSQL's writer is on this event loop.)"""
    gate = threading.Event()
    if is_sqlite():
        db.enqueue(lambda tx: gate.wait(10))
    yield
    gate.set()


def put(key: str, value: object = 1) -> "Write":
    return Write(key, value)


class Write:
    """Sets a setting and emits an event."""

    def __init__(self, key: str, value: object) -> None:
        self.key, self.value = key, value

    def __call__(self, tx: Transaction) -> str:
        setting.put(tx.conn, ANNA.user_id, values={self.key: self.value})
        tx.emit(QueueChanged(ANNA.user_id, len(self.key)))
        return self.key


def failing(tx: Transaction) -> None:
    put("failed")(tx)
    raise Conflict("no")


async def settings(db: Database) -> dict[str, object]:
    return await db.read(lambda tx: setting.load(tx.conn, ANNA.user_id))


async def test_a_failed_write_does_not_affect_the_others_in_its_group(tmp_path: Path) -> None:
    received: list[Event] = []
    async with opened(tmp_path, on_commit=received.extend) as db:
        with gathering(db):
            writes = [db.enqueue(put("a")), db.enqueue(failing), db.enqueue(put("bb")), db.enqueue(failing)]
        results = await asyncio.gather(*writes, return_exceptions=True)
        assert [str(r) for r in results] == ["a", "no", "bb", "no"]
        assert await settings(db) == {"a": 1, "bb": 1}
        assert received == [QueueChanged(ANNA.user_id, 1), QueueChanged(ANNA.user_id, 2)]


@pytest.mark.usefixtures("only_sqlite")
async def test_waiting_writes_share_a_commit(tmp_path: Path) -> None:
    async with opened(tmp_path) as db:
        gate = threading.Event()
        db.enqueue(lambda tx: gate.wait(10))
        seen: list[dict[str, object]] = []

        def peek(tx: Transaction) -> None:
            with tx.conn.engine.connect() as other:  # another connection sees only what is committed
                seen.append(setting.load(other, ANNA.user_id))

        writes = [db.enqueue(put("a")), db.enqueue(peek)]
        gate.set()
        await asyncio.gather(*writes)
        assert seen == [{}]
        assert await settings(db) == {"a": 1}


async def test_events_are_published_after_the_commit(tmp_path: Path) -> None:
    """A listener of an event finds the rows; callbacks come before the events of their transaction."""
    order: list[str] = []
    database: list[Database] = []
    reads: list[asyncio.Task[dict[str, object]]] = []

    def hear(events: Sequence[Event]) -> None:
        order.append("event")
        reads.append(asyncio.ensure_future(settings(database[0])))

    async with opened(tmp_path, on_commit=hear) as db:
        database.append(db)

        def write(tx: Transaction) -> None:
            put("a")(tx)
            tx.after_commit(lambda: order.append("callback"))
            order.append("written")

        await db.write(write)
        order.append("result")
        assert order == ["written", "callback", "event", "result"]
        assert await reads[0] == {"a": 1}


async def test_a_failing_callback_does_not_withhold_results(tmp_path: Path) -> None:
    def fail() -> None:
        raise RuntimeError("after the commit")

    def write(tx: Transaction) -> str:
        tx.after_commit(fail)
        return put("a")(tx)

    async with opened(tmp_path) as db:
        assert await db.write(write) == "a"
        assert await settings(db) == {"a": 1}


async def test_a_commit_that_fails_fails_its_whole_group(tmp_path: Path) -> None:
    """Deferred foreign keys make the commit fail, as any other reason would."""
    received: list[Event] = []
    async with opened(tmp_path, on_commit=received.extend) as db:

        def break_the_commit(tx: Transaction) -> None:
            if is_sqlite():
                tx.conn.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
                setting.put(tx.conn, UserId("nobody"), values={"a": 1})
            else:
                defer = 'CONSTRAINT more FOREIGN KEY (value) REFERENCES "user" (id) DEFERRABLE INITIALLY DEFERRED'
                tx.conn.exec_driver_sql(f"ALTER TABLE setting ADD {defer}")

        with gathering(db):
            writes = [db.enqueue(break_the_commit), db.enqueue(put("a")), db.enqueue(put("b"))]
        results = await asyncio.gather(*writes, return_exceptions=True)
        assert all(isinstance(r, Exception) for r in results), results
        assert received == []
        await db.write(put("after"))
        assert await settings(db) == {"after": 1}


@pytest.mark.usefixtures("only_sqlite")
async def test_a_rollback_by_the_database_fails_the_whole_group(tmp_path: Path) -> None:
    """SQLite itself rolls everything back on some errors, such as a full disk."""

    def disk_is_full(tx: Transaction) -> None:
        put("half")(tx)
        tx.conn.exec_driver_sql("ROLLBACK")
        raise Unavailable("the disk is full")

    received: list[Event] = []
    async with opened(tmp_path, on_commit=received.extend) as db:
        gate = threading.Event()
        blocked = db.enqueue(lambda tx: gate.wait(10))
        writes = [db.enqueue(put("before")), db.enqueue(disk_is_full), db.enqueue(put("after"))]
        gate.set()
        results = await asyncio.gather(blocked, *writes, return_exceptions=True)
        assert [isinstance(r, Unavailable) for r in results] == [True, True, True, False]
        assert await settings(db) == {"after": 1}
        assert received == [QueueChanged(ANNA.user_id, len("after"))]


async def test_a_cancelled_caller_does_not_undo_its_write(tmp_path: Path) -> None:
    async with opened(tmp_path) as db:
        with gathering(db):
            task = asyncio.ensure_future(db.write(put("a")))
            await asyncio.sleep(0)
            task.cancel()
        await db.write(put("b"))
        assert await settings(db) == {"a": 1, "b": 1}


async def test_a_read_cannot_write(tmp_path: Path) -> None:
    async with opened(tmp_path) as db:
        with pytest.raises(Unavailable):
            await db.read(put("a"))
        assert await settings(db) == {}


@pytest.mark.usefixtures("only_sqlite")
async def test_a_read_is_one_snapshot(tmp_path: Path) -> None:
    """A commit between two statements of a read is not visible in the second."""
    async with opened(tmp_path) as db:
        first_done, written = threading.Event(), threading.Event()

        def read(tx: Transaction) -> tuple[dict[str, object], dict[str, object]]:
            before = setting.load(tx.conn, ANNA.user_id)
            first_done.set()
            assert written.wait(10)
            return before, setting.load(tx.conn, ANNA.user_id)

        reading = asyncio.ensure_future(db.read(read))
        await asyncio.to_thread(first_done.wait, 10)
        await db.write(put("a"))
        written.set()
        assert await reading == ({}, {})
        assert await settings(db) == {"a": 1}


async def test_closing_finishes_pending_writes(tmp_path: Path) -> None:
    db = await Database.open(url_of(tmp_path), on_commit=lambda events: None)
    await db.write(add_users)
    writes = [db.enqueue(put(f"k{n}")) for n in range(100)]
    await db.close()
    assert await asyncio.gather(*writes) == [f"k{n}" for n in range(100)]
    with pytest.raises(Unavailable, match="closed"):
        await db.write(put("late"))
    async with opened(tmp_path) as again:
        assert len(await settings(again)) == 100


async def test_a_database_has_one_server(tmp_path: Path) -> None:
    url = url_of(tmp_path)
    first = await Database.open(url, on_commit=lambda events: None, is_server=True)
    with pytest.raises(Unavailable, match="another server is running"):
        await Database.open(url, on_commit=lambda events: None, is_server=True)
    tool = await Database.open(url, on_commit=lambda events: None)
    assert await tool.read(lambda tx: tx.conn.execute(select(user.c.id)).all()) == []
    await tool.close()
    await first.close()
    second = await Database.open(url, on_commit=lambda events: None, is_server=True)
    await second.close()


@pytest.mark.usefixtures("only_sqlite")
@pytest.mark.parametrize(
    "url", ["mysql://x/y", "sqlite://", "sqlite:///:memory:", "postgresql://nobody@127.0.0.1:1/y", "postgresql:bad"]
)
async def test_an_invalid_database_url_is_refused(url: str) -> None:
    with pytest.raises(Unavailable):
        await Database.open(url, on_commit=lambda events: None)


@pytest.mark.usefixtures("only_sqlite")
async def test_every_commit_is_on_disk_before_it_is_acknowledged(tmp_path: Path) -> None:
    async with opened(tmp_path) as db:

        def pragmas(tx: Transaction) -> dict[str, object]:
            names = ("journal_mode", "synchronous", "foreign_keys")
            return {name: tx.conn.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names}

        assert await db.write(pragmas) == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


@pytest.mark.usefixtures("only_sqlite")
async def test_only_writes_that_may_be_lost_are_committed_without_a_sync(tmp_path: Path) -> None:
    def level(tx: Transaction) -> object:
        return tx.conn.exec_driver_sql("PRAGMA synchronous").scalar()

    normal, full = 1, 2
    async with opened(tmp_path) as db:
        assert await db.write(level, is_durable=False) == normal
        assert await db.write(level) == full
        gate = threading.Event()
        blocked = db.enqueue(lambda tx: gate.wait(10), is_durable=False)
        mixed = [db.enqueue(level, is_durable=False), db.enqueue(level), db.enqueue(level, is_durable=False)]
        gate.set()
        assert await asyncio.gather(*mixed) == [full, full, full]
        await blocked


async def test_times_and_texts_are_read_back_unchanged(tmp_path: Path) -> None:
    values = {"seed": 2**70, "half": "\ud83d", "deep": [{"a": None, "b": 1.5e-9}], "words": "ä\u0000\n", "no": None}
    async with opened(tmp_path) as db:
        await db.write(lambda tx: setting.put(tx.conn, ANNA.user_id, values=values))
        assert await settings(db) == values
        created = await db.read(lambda tx: tx.conn.execute(select(user.c.created_at)).scalars().first())
        assert created == NOW


LONG = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1e10) SELECT max(i) FROM n",
    "postgresql": "SELECT pg_sleep(600)",
}
RUNNING = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)' AND state = 'active'"


async def test_a_read_stops_when_its_caller_is_cancelled(tmp_path: Path) -> None:
    async with opened(tmp_path) as db:
        ended = threading.Event()

        def read(tx: Transaction) -> None:
            try:
                tx.conn.exec_driver_sql(LONG[tx.conn.dialect.name])
            finally:
                ended.set()

        for _ in range(6):  # more than there are threads: none stays in a cancelled read
            ended.clear()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await db.read(read)
            assert await asyncio.to_thread(ended.wait, 5)
        if not is_sqlite():
            async with asyncio.timeout(10):
                while await db.read(lambda tx: tx.conn.exec_driver_sql(RUNNING).scalar_one()):
                    pass
        assert await settings(db) == {}


async def test_a_read_of_many_statements_stops_before_its_next(tmp_path: Path) -> None:
    async with opened(tmp_path) as db:
        begun, told = threading.Event(), threading.Event()
        sent: list[int] = []

        def read(tx: Transaction) -> None:
            for number in range(1000):
                tx.conn.execute(select(user.c.id)).all()
                sent.append(number)
                begun.set()
                if is_sqlite():  # PostgreSQL's reads share the event loop, and each statement gives way to it
                    told.wait(5)

        reading = asyncio.create_task(db.read(read))
        await asyncio.to_thread(begun.wait, 5)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        told.set()
        assert await settings(db) == {}
        assert len(sent) < 1000


async def test_a_read_that_has_not_begun_is_dropped_with_its_caller(tmp_path: Path) -> None:
    async with opened(tmp_path) as db:
        gate = threading.Event()
        held = [asyncio.create_task(db.read(lambda tx: gate.wait(10))) for _ in range(4 if is_sqlite() else 0)]
        await asyncio.sleep(0.05)
        ran: list[bool] = []
        waiting = asyncio.create_task(db.read(lambda tx: ran.append(True)))
        if not is_sqlite():
            waiting.cancel()
        await asyncio.sleep(0)
        waiting.cancel()
        gate.set()
        await asyncio.gather(waiting, *held, return_exceptions=True)
        await settings(db)
        assert ran == []
