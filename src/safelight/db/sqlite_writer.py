"""The thread that writes to SQLite, and the group commit's driver for it."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection

from safelight.core.errors import Unavailable
from safelight.core.event import Event
from safelight.db import sqlite
from safelight.db.group_commit import MAX_GROUP, OnCommit, PendingWrite, commit_group, deliver, fail_group
from safelight.db.transaction import Transaction

T = TypeVar("T")


class SqliteWriter:
    """Mutable: a queue, a thread, and the connection that belongs to it."""

    def __init__(self, conn: Connection, *, on_commit: OnCommit, loop: asyncio.AbstractEventLoop) -> None:
        self._conn = conn
        self._driver = _SqliteDriver(conn)
        self._on_commit = on_commit
        self._loop = loop
        self._queue: queue.SimpleQueue[PendingWrite[Any] | None] = queue.SimpleQueue()
        self._is_closed = False
        self._is_ending = False
        self._thread = threading.Thread(target=self._run, name="db-write", daemon=True)
        self._thread.start()

    def put(self, fn: Callable[[Transaction], T], *, is_durable: bool) -> "asyncio.Future[T]":
        future: asyncio.Future[T] = self._loop.create_future()
        if self._is_closed:
            future.set_exception(Unavailable("the database is closed"))
        else:
            self._queue.put(PendingWrite(fn, future, is_durable=is_durable))
        return future

    def stop(self) -> None:
        """Run the writes that are queued, then end. Blocks; call it from another thread than the event loop's."""
        self._is_closed = True
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while not self._is_ending and (group := self._take(MAX_GROUP, wait=True)):
            try:
                commit_group(self._driver, group, take=self._take)
            except BaseException as error:  # a boundary: the writer must outlive a commit that fails
                fail_group(group, error)
                with contextlib.suppress(Exception):
                    self._driver.run("ROLLBACK")
            self._loop.call_soon_threadsafe(self._deliver, group)
        self._conn.close()

    def _deliver(self, group: Sequence[PendingWrite[Any]]) -> None:
        deliver(group, on_commit=self._on_commit)

    def _take(self, at_most: int, *, wait: bool = False) -> list[PendingWrite[Any]]:
        """The writes that are queued; with ``wait``, block until there is one."""
        taken: list[PendingWrite[Any]] = []
        try:
            while len(taken) < at_most:
                write = self._queue.get(block=wait and not taken)
                if write is None:
                    self._is_ending = True
                    break
                taken.append(write)
        except queue.Empty:
            pass
        return taken


class _SqliteDriver:
    """Mutable: the connection's ``synchronous`` mode."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._is_syncing = True  # the connection is opened with synchronous=FULL

    def begin(self, *, is_durable: bool) -> None:
        if is_durable != self._is_syncing:
            self.run(f"PRAGMA synchronous={'FULL' if is_durable else 'NORMAL'}")
            self._is_syncing = is_durable
        self.run("BEGIN IMMEDIATE")

    def is_in_transaction(self) -> bool:
        return sqlite.in_transaction(self._conn)

    def run(self, statement: str) -> None:
        sqlite.run(self._conn, statement)

    def transaction(self) -> Transaction:
        return Transaction(self._conn)

    def commit(self, events: Sequence[Event]) -> None:
        self.run("COMMIT")
