"""The database: takes a function of a transaction, returns its result, and publishes its events after the commit.

The same for SQLite and PostgreSQL (``db/transactor.py``). A function of a transaction must be quick, and must use
nothing but its transaction.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from safelight.core.errors import Unavailable
from safelight.core.event import Event
from safelight.db.sqlite_transactor import SqliteTransactor
from safelight.db.transaction import Transaction
from safelight.db.transactor import Announce, FencedTransactor, Transactor

if TYPE_CHECKING:
    from safelight.db.postgres import MaintenanceLock, ServerLock

__all__ = ["Database", "Transaction"]

T = TypeVar("T")

OnWrite = Callable[[float, bool], None]


class Database:
    """Mutable: whether it is open. Made by :meth:`open`, ended by :meth:`close`."""

    def __init__(self, transactor: Transactor, *, on_write: OnWrite | None = None) -> None:
        self._transactor = transactor
        self._on_write = on_write
        self._is_closed = False

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        on_commit: Callable[[Sequence[Event]], None],
        announce: Announce | None = None,
        is_server: bool = False,
        on_write: OnWrite | None = None,
    ) -> "Database":
        """Open ``sqlite:////path/x.db`` or ``postgresql://user:password@host/name``;
        create or migrate its tables first.

        ``on_commit`` receives the events of each transaction on the event loop's thread, in the order of the commits.
        ``announce`` (PostgreSQL only) is called inside each commit with its events, to notify other servers.
        ``is_server`` refuses a database that another server has open with ``is_server``. ``on_write`` receives the
        seconds that each write took, and whether it was durable. Raises :class:`Unavailable`.
        """
        if is_postgres(url):
            from safelight.db.postgres_transactor import PostgresTransactor  # a driver that SQLite starts without

            postgres = await PostgresTransactor.open(url, on_commit=on_commit, announce=announce, is_server=is_server)
            return cls(postgres, on_write=on_write)
        return cls(await SqliteTransactor.open(url, on_commit=on_commit, is_server=is_server), on_write=on_write)

    async def read(self, fn: Callable[[Transaction], T]) -> T:
        """Run ``fn`` on a snapshot; it cannot write. Cancelling the caller stops it within milliseconds, even inside a
        statement."""
        if self._is_closed:
            raise Unavailable("the database is closed")
        return await self._transactor.read(fn)

    async def write(self, fn: Callable[[Transaction], T], *, is_durable: bool = True) -> T:
        """Run ``fn`` in a savepoint of its own and return its result when the commit is on the disk.

        An error that ``fn`` raises undoes its own work only, and is raised here. Cancelling the caller does not undo a
        write. A write that is not durable saves an fsync; a power cut may lose it, the end of the process does not.
        """
        return await self.enqueue(fn, is_durable=is_durable)

    def enqueue(self, fn: Callable[[Transaction], T], *, is_durable: bool = True) -> "asyncio.Future[T]":
        """:meth:`write` for a caller that does not wait: writes enqueued together are committed together, in order."""
        future = self._transactor.put(fn, is_durable=is_durable)
        if (on_write := self._on_write) is not None:
            since_s = time.monotonic()
            future.add_done_callback(lambda _: on_write(time.monotonic() - since_s, is_durable))
        return future

    def fenced(self, guard: Callable[[Transaction], None]) -> "Database":
        """The same database for a server that may lose the right to write: ``guard`` runs first in each write, and
        raises where the right is lost. Need not be closed."""
        return Database(FencedTransactor(self._transactor, guard), on_write=self._on_write)

    async def close(self) -> None:
        """Finish what has begun, then close every connection."""
        self._is_closed = True
        await self._transactor.close()


async def take_server_lock(url: str) -> "ServerLock":
    """Take the lock of a PostgreSQL database's one server, held until it is released or its connection ends. Raises
    :class:`Unavailable` where another server holds it."""
    from safelight.db import postgres

    return await postgres.ServerLock.take(postgres.create(url))


async def take_maintenance_lock(url: str) -> "MaintenanceLock":
    """Take the lock that keeps removing blobs apart from copying them, of a PostgreSQL database. Raises
    :class:`Unavailable` where another program holds it."""
    from safelight.db import postgres

    return await postgres.MaintenanceLock.take(postgres.create(url))


def is_postgres(url: str) -> bool:
    return url.startswith(("postgresql:", "postgresql+asyncpg:", "postgres:"))
