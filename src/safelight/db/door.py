"""The port behind the door to the database: SQLite in threads (``db/sqlite_door.py``), PostgreSQL on the event loop
(``db/postgres_door.py``)."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from safelight.core.event import Event
from safelight.db.transaction import Transaction

T = TypeVar("T")

Announce = Callable[[Transaction, Sequence[Event]], None]


class Door(Protocol):
    """Law: writes happen one after another, whoever writes; each is undone alone by what it raises. What was returned
    of one that is durable is on the disk. Events of committed transactions are told in the order of the commits, on the
    event loop's thread. Reads see one moment each, and what they would write is refused."""

    async def read(self, fn: Callable[[Transaction], T]) -> T: ...

    def put(self, fn: Callable[[Transaction], T], *, is_durable: bool) -> "asyncio.Future[T]":
        """Begin to write; those that wait together share a commit."""
        ...

    async def close(self) -> None:
        """Finish what was begun."""
        ...


class GuardedDoor:
    """A door that lets nothing be written for which ``guard`` raises. To close it is the business of the one behind."""

    def __init__(self, door: Door, guard: Callable[[Transaction], None]) -> None:
        self._door = door
        self._guard = guard

    async def read(self, fn: Callable[[Transaction], T]) -> T:
        return await self._door.read(fn)

    def put(self, fn: Callable[[Transaction], T], *, is_durable: bool) -> "asyncio.Future[T]":
        def guarded(tx: Transaction) -> T:
            self._guard(tx)
            return fn(tx)

        return self._door.put(guarded, is_durable=is_durable)

    async def close(self) -> None:
        return
