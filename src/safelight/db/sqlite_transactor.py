"""Transactions on SQLite: reads in a few threads, each on a snapshot; writes in one (``db/sqlite_writer.py``)."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, event

from safelight.core.errors import Unavailable
from safelight.db import migrate, sqlite
from safelight.db.error_translation import translated_errors
from safelight.db.group_commit import OnCommit
from safelight.db.readers import Readers, Stop
from safelight.db.sqlite_writer import SqliteWriter
from safelight.db.transaction import Transaction

T = TypeVar("T")

_STEPS = 20_000
"""Steps of SQLite's virtual machine (some milliseconds) after which a read checks whether it should stop."""
_READER_CACHE_KIB = 32 * 1024
"""At most, and no more than there is to read: the pages that lists walk through should stay in memory."""


_NEVER = Stop()


class SqliteTransactor:
    """Mutable: its threads and connections. Made by :meth:`open`."""

    def __init__(self, engine: Engine, *, on_commit: OnCommit, lock: sqlite.ServerLock | None) -> None:
        self._engine = engine
        self._lock = lock
        self._local = threading.local()
        self._connections: list[Connection] = []
        self._readers = Readers(begin=self._connect_reader)
        self._writer = SqliteWriter(engine.connect(), on_commit=on_commit, loop=asyncio.get_running_loop())

    @classmethod
    async def open(cls, url: str, *, on_commit: OnCommit, is_server: bool) -> "SqliteTransactor":
        engine = sqlite.create(url)
        lock = sqlite.ServerLock(url) if is_server else None
        try:
            with translated_errors():
                await asyncio.to_thread(migrate.to_head, engine)
                return cls(engine, on_commit=on_commit, lock=lock)
        except BaseException:
            if lock:
                lock.release()
            raise

    async def read(self, fn: Callable[[Transaction], T]) -> T:
        return await self._readers.run(lambda stop: self._read(fn, stop))

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
        _stop_on_request(conn, self._local)
        self._local.conn = conn
        self._local.stop = _NEVER
        self._connections.append(conn)

    def _read(self, fn: Callable[[Transaction], T], stop: Stop) -> T:
        conn: Connection = self._local.conn
        self._local.stop = stop
        with translated_errors():
            sqlite.run(conn, "BEGIN")
            try:
                return fn(Transaction(conn))
            finally:
                self._local.stop = _NEVER
                sqlite.run(conn, "ROLLBACK")


def _stop_on_request(conn: Connection, local: threading.local) -> None:
    """End the thread's current read when ``local.stop`` is set: inside a long statement, or before the next one."""
    driver: Any = conn.connection.driver_connection
    driver.set_progress_handler(lambda: local.stop.is_set, _STEPS)

    def check(*_: Any) -> None:
        if local.stop.is_set:
            raise Unavailable("the read was stopped: its caller no longer waits")

    event.listen(conn, "before_cursor_execute", check)
