"""The door to the database: a function and a transaction in, its result out, events after the commit.

Reads run in a few threads with a snapshot each; writes run one after another in one thread (``db/writer.py``), where
those that wait share a commit. A function of a transaction must be quick and touch nothing but its transaction.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from sqlalchemy import Connection, Engine

from safelight.core.errors import Unavailable
from safelight.core.event import Event
from safelight.db import migrate, sqlite
from safelight.db.readers import Readers
from safelight.db.transaction import Transaction
from safelight.db.writer import GroupWriter, in_our_words

__all__ = ["Database", "Transaction"]

T = TypeVar("T")

_READER_CACHE_KIB = 32 * 1024
"""At most, and only as much as there is to read: what lists walk along should stay in memory."""


class Database:
    """Mutable: its threads and connections. Made by :meth:`open`, ended by :meth:`close`."""

    def __init__(
        self, engine: Engine, *, on_commit: Callable[[Sequence[Event]], None], lock: sqlite.ServerLock | None
    ) -> None:
        self._engine = engine
        self._lock = lock
        self._is_closed = False
        self._local = threading.local()
        self._connections: list[Connection] = []
        self._readers = Readers(begin=self._connect_reader)
        self._writer = GroupWriter(engine.connect(), on_commit=on_commit, loop=asyncio.get_running_loop())

    @classmethod
    async def open(
        cls, url: str, *, on_commit: Callable[[Sequence[Event]], None], is_server: bool = False
    ) -> "Database":
        """Open ``sqlite:////path/x.db``, made or migrated to the present schema first.

        ``on_commit`` hears the events of each transaction on the event loop's thread, in the order of the commits.
        ``is_server`` refuses a database that another server has open so. Raises :class:`Unavailable`.
        """
        engine = sqlite.create(url)
        lock = sqlite.ServerLock(url) if is_server else None
        try:
            with in_our_words():
                await asyncio.to_thread(migrate.to_head, engine)
                return cls(engine, on_commit=on_commit, lock=lock)
        except BaseException:
            if lock:
                lock.release()
            raise

    async def read(self, fn: Callable[[Transaction], T]) -> T:
        """Run ``fn`` on a snapshot; what it would write is refused."""
        if self._is_closed:
            raise Unavailable("the database is closed")
        return await self._readers.run(lambda: self._read(fn))

    async def write(self, fn: Callable[[Transaction], T], *, is_durable: bool = True) -> T:
        """Run ``fn`` in a savepoint of its own and return its result when the commit is on the disk.

        What ``fn`` raises undoes its own work only, and is raised here. Cancelling the caller does not undo a write.
        What is not durable may be lost in a power cut (not with the process), for the sake of an fsync.
        """
        return await self._writer.put(fn, is_durable=is_durable)

    def enqueue(self, fn: Callable[[Transaction], T], *, is_durable: bool = True) -> "asyncio.Future[T]":
        """:meth:`write` for a caller that goes on: what is enqueued together is committed together, in this order."""
        return self._writer.put(fn, is_durable=is_durable)

    async def close(self) -> None:
        """Finish what was begun, then let go of everything."""
        self._is_closed = True
        await asyncio.to_thread(self._writer.stop)
        await asyncio.to_thread(self._readers.stop)
        for conn in self._connections:
            conn.close()
        self._engine.dispose()
        if self._lock:
            self._lock.release()

    def _connect_reader(self) -> None:
        conn = self._engine.connect()
        sqlite.run(conn, "PRAGMA query_only=ON")
        sqlite.run(conn, f"PRAGMA cache_size=-{_READER_CACHE_KIB}")
        self._local.conn = conn
        self._connections.append(conn)

    def _read(self, fn: Callable[[Transaction], T]) -> T:
        conn: Connection = self._local.conn
        with in_our_words():
            sqlite.run(conn, "BEGIN")
            try:
                return fn(Transaction(conn))
            finally:
                sqlite.run(conn, "ROLLBACK")
