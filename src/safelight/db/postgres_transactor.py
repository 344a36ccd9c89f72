"""Transactions on PostgreSQL, on the event loop: reads on a few connections, writes one after another on one.

Writes are serial, as they are on SQLite, and over all servers of a database: a group's first statement takes a lock
that its commit releases. A function therefore reads what the last one wrote, and never has to run twice. Writes that
wait together share the lock and the commit (``db/group_commit.py``).

A connection that breaks fails what was running on it: a group whose commit was not acknowledged may have been saved or
not, and counts as failed. The next group opens a new connection.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.util import await_only

from safelight.core.errors import Unavailable
from safelight.core.event import Event
from safelight.db import migrate, postgres
from safelight.db.error_translation import translate
from safelight.db.group_commit import MAX_GROUP, OnCommit, PendingWrite, commit_group, deliver, fail_group
from safelight.db.transaction import Transaction
from safelight.db.transactor import Announce

T = TypeVar("T")

READERS = 8
TRIES = 4
"""To connect, before what waits fails: a database that is started again takes a moment."""
PAUSE_S = 0.25


class PostgresTransactor:
    """Mutable: its connections, and what waits for them. Made by :meth:`open`."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        on_commit: OnCommit,
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
        self._waiting: deque[PendingWrite[Any]] = deque()
        self._is_wanted = asyncio.Event()
        self._is_closed = False
        self._writer: AsyncConnection | None = None
        self._writing = asyncio.create_task(self._write_all(), name="db-write")

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        on_commit: OnCommit,
        announce: Announce | None = None,
        is_server: bool = False,
    ) -> "PostgresTransactor":
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
        self._waiting.append(PendingWrite(fn, future, is_durable=is_durable))
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
        group: list[PendingWrite[Any]] = []
        try:
            conn = await self._begin()
            group += self._take(MAX_GROUP)  # those that arrived while this server waited for the lock are among them
            await conn.run_sync(lambda sync: self._commit(conn, sync, group))
        except BaseException as error:  # a boundary: the writer must outlive a commit that fails
            if any(write.tx for write in group):  # those that have not begun run in the next group
                self._waiting.extendleft(write for write in reversed(group) if write.tx is None)
                group = [write for write in group if write.tx]
            else:  # no connection can be opened: every write that waits fails
                group += self._take(len(self._waiting))
            fail_group(group, error)
            await self._drop_writer()
            if isinstance(error, asyncio.CancelledError):
                deliver(group, on_commit=self._on_commit)
                raise
        deliver(group, on_commit=self._on_commit)

    def _commit(self, conn: AsyncConnection, sync: Connection, group: list[PendingWrite[Any]]) -> None:
        commit_group(_PostgresDriver(conn, sync, announce=self._announce), group, take=self._take)

    def _take(self, at_most: int) -> list[PendingWrite[Any]]:
        return [self._waiting.popleft() for _ in range(min(at_most, len(self._waiting)))]

    async def _begin(self) -> AsyncConnection:
        """Begin a transaction that has the write lock. Nothing has run yet, so a connection that turns out to be broken
        is replaced."""
        conn = await self._writer_connection()
        begin = f"BEGIN; SELECT pg_advisory_xact_lock({postgres.WRITE_LOCK})"
        try:
            await postgres.run(conn, begin)
        except Unavailable:
            if await postgres.is_alive(conn):
                raise
            conn = await self._writer_connection()
            await postgres.run(conn, begin)
        return conn

    async def _writer_connection(self) -> AsyncConnection:
        if self._writer is not None and await postgres.is_alive(self._writer):
            if self._lock is not None:
                await self._lock.keep()
            return self._writer
        await self._drop_writer()
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

    async def _drop_writer(self) -> None:
        if self._writer is not None:
            conn, self._writer = self._writer, None
            with contextlib.suppress(Exception):
                await postgres.drop(conn)


class _PostgresDriver:
    """Transaction control inside SQLAlchemy's greenlet, on a connection whose transaction has begun."""

    def __init__(self, conn: AsyncConnection, sync: Connection, *, announce: Announce | None) -> None:
        self._conn = conn
        self._sync = sync
        self._announce = announce

    def begin(self, *, is_durable: bool) -> None:
        if not self.is_in_transaction():
            raise Unavailable("the connection to the database was lost")
        if not is_durable:
            self.run("SET LOCAL synchronous_commit TO off")

    def is_in_transaction(self) -> bool:
        """PostgreSQL ends a transaction only together with its connection: within one, a savepoint undoes any error."""
        return await_only(postgres.is_alive(self._conn))

    def run(self, statement: str) -> None:
        await_only(postgres.run(self._conn, statement))

    def transaction(self) -> Transaction:
        return Transaction(self._sync)

    def commit(self, events: Sequence[Event]) -> None:
        if self._announce is not None:
            self._announce(self.transaction(), events)
        self.run("COMMIT")


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
