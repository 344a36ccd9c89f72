"""Group commit: one thread writes, and transactions that wait together share one fsync.

::

    BEGIN  [SAVEPOINT fn1 RELEASE] [SAVEPOINT fn2 ROLLBACK TO] [SAVEPOINT fn3 RELEASE]  COMMIT
                                             raised: undone alone                        one fsync

A group in which nothing is durable is committed without an fsync: it survives the end of the process, but a power cut
only together with the next durable commit. (SQLite's log keeps the order of commits: never the later without the
earlier.)

After the commit, on the event loop's thread and in the order of the transactions: each one's callbacks, its events,
its result. Before the commit nothing is told to anybody. If the commit itself fails, every transaction of the group
failed. While the disk is busy, new transactions gather: the more there is to do, the cheaper each becomes.
"""

import asyncio
import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection

from safelight.core.errors import Unavailable
from safelight.core.event import Event
from safelight.db import sqlite
from safelight.db.errors import translate
from safelight.db.transaction import Transaction

log = logging.getLogger(__name__)

T = TypeVar("T")

_MAX_GROUP = 64


class _Item:
    """One transaction on its way through the writer."""

    __slots__ = ("error", "fn", "future", "is_durable", "result", "tx")

    def __init__(
        self, fn: Callable[[Transaction], Any], future: "asyncio.Future[Any]", tx: Transaction, *, is_durable: bool
    ) -> None:
        self.fn = fn
        self.future = future
        self.tx = tx
        self.is_durable = is_durable
        self.result: Any = None
        self.error: BaseException | None = None


class GroupWriter:
    """Mutable: a queue, a thread, and the connection that belongs to it."""

    def __init__(
        self, conn: Connection, *, on_commit: Callable[[Sequence[Event]], None], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._conn = conn
        self._on_commit = on_commit
        self._loop = loop
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._is_closed = False
        self._is_ending = False
        self._is_syncing = True  # the connection is opened with synchronous=FULL
        self._thread = threading.Thread(target=self._run, name="db-write", daemon=True)
        self._thread.start()

    def put(self, fn: Callable[[Transaction], T], *, is_durable: bool) -> "asyncio.Future[T]":
        future: asyncio.Future[T] = self._loop.create_future()
        if self._is_closed:
            future.set_exception(Unavailable("the database is closed"))
            return future
        self._queue.put(_Item(fn, future, Transaction(self._conn), is_durable=is_durable))
        return future

    def stop(self) -> None:
        """Do what is queued, then end. Blocks; call it from another thread than the event loop's."""
        self._is_closed = True
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while not self._is_ending and (group := self._take(wait=True, at_most=_MAX_GROUP)):
            try:
                self._commit(group)
            except BaseException as error:  # a boundary: the writer must outlive whatever a commit meets
                log.error("a commit failed: %s", error, exc_info=None if isinstance(error, Unavailable) else error)
                failure = translate(error)
                for item in group:
                    item.error = item.error or failure
                with contextlib.suppress(Exception):
                    sqlite.run(self._conn, "ROLLBACK")
            self._loop.call_soon_threadsafe(self._deliver, group)
        self._conn.close()

    def _take(self, *, wait: bool, at_most: int) -> list[_Item]:
        """What is in the queue, up to the end; ``wait`` until there is something."""
        taken: list[_Item] = []
        try:
            while len(taken) < at_most:
                item = self._queue.get(block=wait and not taken)
                if item is None:
                    self._is_ending = True
                    break
                taken.append(item)
        except queue.Empty:
            pass
        return taken

    def _commit(self, group: list[_Item]) -> None:
        """Run and commit ``group``, which grows by what comes in meanwhile if it is to be synced anyway."""
        is_durable = any(item.is_durable for item in group)
        if is_durable != self._is_syncing:
            sqlite.run(self._conn, f"PRAGMA synchronous={'FULL' if is_durable else 'NORMAL'}")
            self._is_syncing = is_durable
        sqlite.run(self._conn, "BEGIN IMMEDIATE")
        done = 0
        while done < len(group):
            self._run_one(group[done], before=group[:done])
            done += 1
            if done == len(group) and is_durable:
                group += self._take(wait=False, at_most=_MAX_GROUP - done)
        sqlite.run(self._conn, "COMMIT")

    def _run_one(self, item: _Item, *, before: Sequence[_Item]) -> None:
        sqlite.run(self._conn, "SAVEPOINT item")
        try:
            item.result = item.fn(item.tx)
        except BaseException as error:
            item.error = translate(error)
            if not sqlite.in_transaction(self._conn):
                # SQLite gave up the whole group (the disk is full, say): nobody before this one was saved either.
                for other in before:
                    other.error = other.error or item.error
                sqlite.run(self._conn, "BEGIN IMMEDIATE")
                return
            sqlite.run(self._conn, "ROLLBACK TO item")
        sqlite.run(self._conn, "RELEASE item")

    def _deliver(self, group: list[_Item]) -> None:
        for item in group:
            if item.error is None:
                for callback in item.tx.callbacks:
                    self._call(callback)
                if item.tx.events:
                    self._on_commit(item.tx.events)
                if not item.future.done():
                    item.future.set_result(item.result)
            elif not item.future.done():
                item.future.set_exception(item.error)

    def _call(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception:  # a boundary: the transaction is committed, and its neighbours wait for their results
            log.exception("what should follow a commit failed")
