"""The door to PostgreSQL, on the event loop: reads on a few connections, writes one after another on one.

Writes are serial here as they are in SQLite, and over all servers of a database: the first statement of a group takes a
lock that its commit gives back, so that what a function reads is what the last one wrote, and none must be run twice.
Those that wait together share the lock and the commit::

    BEGIN; lock  [SAVEPOINT fn1 RELEASE] [SAVEPOINT fn2 ROLLBACK TO] [SAVEPOINT fn3 RELEASE]  COMMIT

A connection that breaks fails what was on it: a group whose commit was not answered may be there or not, and counts as
failed. The next group connects anew.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from safelight.core.errors import Unavailable
from safelight.core.event import Event
from safelight.db import migrate, postgres
from safelight.db.door import Announce
from safelight.db.errors import translate
from safelight.db.transaction import Transaction

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_GROUP = 64
READERS = 8
TRIES = 4
"""To connect, before what waits fails: a database that is started again takes a moment."""
PAUSE_S = 0.25


class _Item:
    """One transaction on its way through the writer."""

    __slots__ = ("error", "fn", "future", "is_durable", "result", "tx")

    def __init__(self, fn: Callable[[Transaction], Any], future: "asyncio.Future[Any]", *, is_durable: bool) -> None:
        self.fn = fn
        self.future = future
        self.is_durable = is_durable
        self.tx: Transaction | None = None
        self.result: Any = None
        self.error: BaseException | None = None


class PostgresDoor:
    """Mutable: its connections, and what waits for them. Made by :meth:`open`."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        on_commit: Callable[[Sequence[Event]], None],
        announce: Announce | None = None,
        lock: postgres.ServerLock | None = None,
    ) -> None:
        self._engine = engine
        self._on_commit = on_commit
        self._announce = announce
        self._lock = lock
        self._idle: list[AsyncConnection] = []
        self._places = asyncio.Semaphore(READERS)
        self._reads: set[asyncio.Task[Any]] = set()
        self._waiting: deque[_Item] = deque()
        self._is_wanted = asyncio.Event()
        self._is_closed = False
        self._writer: AsyncConnection | None = None
        self._writing = asyncio.create_task(self._write_all(), name="db-write")

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        on_commit: Callable[[Sequence[Event]], None],
        announce: Announce | None = None,
        is_server: bool = False,
    ) -> "PostgresDoor":
        engine = postgres.create(url)
        lock = await postgres.ServerLock.take(engine) if is_server else None
        try:
            await to_head(engine)
        except BaseException:
            if lock:
                await lock.release()
            raise
        return cls(engine, on_commit=on_commit, announce=announce, lock=lock)

    async def read(self, fn: Callable[[Transaction], T]) -> T:
        # A task of its own: a caller that is cancelled must not leave a connection in the middle of an answer.
        task = asyncio.create_task(self._read(fn))
        self._reads.add(task)
        task.add_done_callback(self._reads.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.cancel()
            raise

    def put(self, fn: Callable[[Transaction], T], *, is_durable: bool) -> "asyncio.Future[T]":
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if self._is_closed:
            future.set_exception(Unavailable("the database is closed"))
            return future
        self._waiting.append(_Item(fn, future, is_durable=is_durable))
        self._is_wanted.set()
        return future

    async def close(self) -> None:
        self._is_closed = True
        self._is_wanted.set()
        await self._writing
        if self._reads:
            await asyncio.wait(self._reads)
        for conn in (*self._idle, *filter(None, [self._writer])):
            await conn.close()
        if self._lock is not None:
            await self._lock.release()
        await self._engine.dispose()

    # -- reading --

    async def _read(self, fn: Callable[[Transaction], T]) -> T:
        """A connection that broke while nobody used it may show that only now: it is read again on another."""
        for _ in range(TRIES - 1):
            conns: list[AsyncConnection] = []
            try:
                return await self._read_once(fn, conns)
            except Unavailable:
                if not conns or await postgres.is_alive(conns[0]):
                    raise
        return await self._read_once(fn, [])

    async def _read_once(self, fn: Callable[[Transaction], T], conns: list[AsyncConnection]) -> T:
        """``conns`` gets the connection that was used."""
        async with self._reader() as conn:
            conns.append(conn)
            await postgres.run(conn, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            try:
                result = await conn.run_sync(lambda sync: fn(Transaction(sync)))
            except asyncio.CancelledError:  # the driver asks the database to stop; the connection is not used again
                await postgres.drop(conn)
                raise
            except Exception as error:
                await postgres.run(conn, "ROLLBACK")
                raise translate(error) from error.__cause__
            await postgres.run(conn, "ROLLBACK")
            return result

    @contextlib.asynccontextmanager
    async def _reader(self) -> AsyncIterator[AsyncConnection]:
        async with self._places:
            conn = await self._idle_connection() or await postgres.connect(self._engine)
            try:
                yield conn
            finally:
                if await postgres.is_alive(conn) and not (await postgres.driver(conn)).is_in_transaction():
                    self._idle.append(conn)
                else:
                    await postgres.drop(conn)

    async def _idle_connection(self) -> AsyncConnection | None:
        """One that is alive. Those that broke while nobody used them are dropped."""
        while self._idle:
            conn = self._idle.pop()
            if await postgres.is_alive(conn):
                return conn
            await postgres.drop(conn)
        return None

    # -- writing --

    async def _write_all(self) -> None:
        while True:
            await self._is_wanted.wait()
            self._is_wanted.clear()
            while self._waiting:
                await self._write_group()
            if self._is_closed:
                return

    async def _write_group(self) -> None:
        group: list[_Item] = []
        try:
            await self._begin(await self._writer_connection())
            await self._commit(group)
        except BaseException as error:  # a boundary: the writer must outlive whatever a commit meets
            if not group:  # there is no connection to be had, and what waits is told so
                group, self._waiting = [*self._waiting], deque()
            failure = translate(error)
            log.error("a commit failed: %s", failure, exc_info=None if isinstance(failure, Unavailable) else failure)
            for item in group:
                item.error = item.error or failure
            if self._writer is not None:
                conn, self._writer = self._writer, None
                with contextlib.suppress(Exception):
                    await postgres.drop(conn)
            if isinstance(error, asyncio.CancelledError):
                self._deliver(group)
                raise
        self._deliver(group)

    async def _writer_connection(self) -> AsyncConnection:
        if self._writer is not None and await postgres.is_alive(self._writer):
            if self._lock is not None:
                await self._lock.keep()
            return self._writer
        if self._writer is not None:
            conn, self._writer = self._writer, None
            await postgres.drop(conn)
        for number in range(TRIES):
            try:
                if self._lock is not None:
                    await self._lock.keep(ask=True)
                self._writer = await postgres.connect(self._engine)
                return self._writer
            except Unavailable:
                if number == TRIES - 1 or self._is_closed:
                    raise
                await asyncio.sleep(PAUSE_S)
        raise AssertionError("the last try returns or raises")

    async def _begin(self, conn: AsyncConnection) -> None:
        """Nothing is done yet: where the connection turns out to be broken, another may take its place."""
        begin = f"BEGIN; SELECT pg_advisory_xact_lock({postgres.WRITE_LOCK})"
        try:
            await postgres.run(conn, begin)
        except Unavailable:
            if await postgres.is_alive(conn):
                raise
            await postgres.run(await self._writer_connection(), begin)

    async def _commit(self, group: list[_Item]) -> None:
        """Run and commit what waits, and what comes in meanwhile. Fills ``group``."""
        conn = self._writer
        assert conn is not None
        while len(group) < MAX_GROUP and self._waiting:
            group.append(self._waiting.popleft())
            await self._run_one(conn, group[-1])
        if (announce := self._announce) is not None:
            events = [event for item in group if item.error is None and item.tx for event in item.tx.events]
            await conn.run_sync(lambda sync: announce(Transaction(sync), events))
        if not any(item.is_durable for item in group):
            await postgres.run(conn, "SET LOCAL synchronous_commit TO off; COMMIT")
        else:
            await postgres.run(conn, "COMMIT")

    async def _run_one(self, conn: AsyncConnection, item: _Item) -> None:
        await postgres.run(conn, "SAVEPOINT item")

        def work(sync: Connection) -> Any:
            item.tx = Transaction(sync)
            return item.fn(item.tx)

        try:
            item.result = await conn.run_sync(work)
        except Exception as error:
            item.error = translate(error)
            if isinstance(item.error, Unavailable) and not await postgres.is_alive(conn):
                raise item.error from error
            await postgres.run(conn, "ROLLBACK TO SAVEPOINT item")
        await postgres.run(conn, "RELEASE SAVEPOINT item")

    def _deliver(self, group: list[_Item]) -> None:
        for item in group:
            if item.error is None and item.tx is not None:
                for callback in item.tx.callbacks:
                    self._call(callback)
                if item.tx.events:
                    self._on_commit(item.tx.events)
                if not item.future.done():
                    item.future.set_result(item.result)
            elif not item.future.done():
                item.future.set_exception(item.error or Unavailable("the database was closed"))

    def _call(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception:  # a boundary: the transaction is committed, and its neighbours wait for their results
            log.exception("what should follow a commit failed")


async def to_head(engine: AsyncEngine) -> None:
    """Make or migrate the tables; of several servers that start at once, one does. Raises :class:`Unavailable`."""
    conn = await postgres.connect(engine)
    try:
        await postgres.run(conn, f"BEGIN; SELECT pg_advisory_xact_lock({postgres.MIGRATION_LOCK})")
        try:
            await conn.run_sync(migrate.bring_to_head)
        except Exception as error:
            raise translate(error) from error.__cause__
        await postgres.run(conn, "COMMIT")
    finally:
        await postgres.drop(conn)
