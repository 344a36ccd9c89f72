"""The door to the database: a function and a transaction in, its result out, events after the commit.

The same for SQLite and PostgreSQL (``db/door.py``). A function of a transaction must be quick and touch nothing but its
transaction.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from safelight.core.errors import Unavailable
from safelight.core.event import Event
from safelight.db.door import Announce, Door, GuardedDoor
from safelight.db.sqlite_door import SqliteDoor
from safelight.db.transaction import Transaction

if TYPE_CHECKING:
    from safelight.db.postgres import ServerLock

__all__ = ["Database", "Transaction"]

T = TypeVar("T")


class Database:
    """Mutable: whether it is open. Made by :meth:`open`, ended by :meth:`close`."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._is_closed = False

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        on_commit: Callable[[Sequence[Event]], None],
        announce: Announce | None = None,
        is_server: bool = False,
    ) -> "Database":
        """Open ``sqlite:////path/x.db`` or ``postgresql://user:password@host/name``, made or migrated to the present
        schema first.

        ``on_commit`` hears the events of each transaction on the event loop's thread, in the order of the commits.
        ``announce`` (PostgreSQL alone) is called with the last transaction of each commit and the events of all, to
        tell other servers with it. ``is_server`` refuses a database that another server has open so. Raises
        :class:`Unavailable`.
        """
        if is_postgres(url):
            from safelight.db.postgres_door import PostgresDoor  # a driver that SQLite starts without

            return cls(await PostgresDoor.open(url, on_commit=on_commit, announce=announce, is_server=is_server))
        return cls(await SqliteDoor.open(url, on_commit=on_commit, is_server=is_server))

    async def read(self, fn: Callable[[Transaction], T]) -> T:
        """Run ``fn`` on a snapshot; what it would write is refused. Cancelling the caller stops it, within
        milliseconds where it is inside a statement."""
        if self._is_closed:
            raise Unavailable("the database is closed")
        return await self._door.read(fn)

    async def write(self, fn: Callable[[Transaction], T], *, is_durable: bool = True) -> T:
        """Run ``fn`` in a savepoint of its own and return its result when the commit is on the disk.

        What ``fn`` raises undoes its own work only, and is raised here. Cancelling the caller does not undo a write.
        What is not durable may be lost in a power cut (not with the process), for the sake of an fsync.
        """
        return await self._door.put(fn, is_durable=is_durable)

    def enqueue(self, fn: Callable[[Transaction], T], *, is_durable: bool = True) -> "asyncio.Future[T]":
        """:meth:`write` for a caller that goes on: what is enqueued together is committed together, in this order."""
        return self._door.put(fn, is_durable=is_durable)

    def guarded(self, guard: Callable[[Transaction], None]) -> "Database":
        """The same database for one who may lose the right to write: ``guard`` runs first in each write, and raises
        where the right is lost. Need not be closed."""
        return Database(GuardedDoor(self._door, guard))

    async def close(self) -> None:
        """Finish what was begun, then let go of everything."""
        self._is_closed = True
        await self._door.close()


async def take_server_lock(url: str) -> "ServerLock":
    """Of a PostgreSQL database: held until it is released or its connection ends. Raises :class:`Unavailable` where
    another server holds it."""
    from safelight.db import postgres

    return await postgres.ServerLock.take(postgres.create(url))


def is_postgres(url: str) -> bool:
    return url.startswith(("postgresql:", "postgresql+asyncpg:", "postgres:"))
