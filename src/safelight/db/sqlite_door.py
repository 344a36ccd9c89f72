"""The door to SQLite: reads in a few threads with a snapshot each, writes in one thread (``db/writer.py``)."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from sqlalchemy import Connection, Engine

from safelight.core.event import Event
from safelight.db import migrate, sqlite
from safelight.db.errors import in_our_words
from safelight.db.readers import Readers
from safelight.db.transaction import Transaction
from safelight.db.writer import GroupWriter

T = TypeVar("T")

_READER_CACHE_KIB = 32 * 1024
"""At most, and only as much as there is to read: what lists walk along should stay in memory."""


class SqliteDoor:
    """Mutable: its threads and connections. Made by :meth:`open`."""

    def __init__(
        self, engine: Engine, *, on_commit: Callable[[Sequence[Event]], None], lock: sqlite.ServerLock | None
    ) -> None:
        self._engine = engine
        self._lock = lock
        self._local = threading.local()
        self._connections: list[Connection] = []
        self._readers = Readers(begin=self._connect_reader)
        self._writer = GroupWriter(engine.connect(), on_commit=on_commit, loop=asyncio.get_running_loop())

    @classmethod
    async def open(cls, url: str, *, on_commit: Callable[[Sequence[Event]], None], is_server: bool) -> "SqliteDoor":
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
        return await self._readers.run(lambda: self._read(fn))

    def put(self, fn: Callable[[Transaction], T], *, is_durable: bool) -> "asyncio.Future[T]":
        return self._writer.put(fn, is_durable=is_durable)

    async def close(self) -> None:
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
