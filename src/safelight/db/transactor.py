"""The port to a database: SQLite in threads (``db/sqlite_transactor.py``), PostgreSQL on the event loop
(``db/postgres_transactor.py``)."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from safelight.core.event import Event
from safelight.db.transaction import Transaction

T = TypeVar("T")

Announce = Callable[[Transaction, Sequence[Event]], None]


class Transactor(Protocol):
    """Law: writes run one after another, over all servers; an error that a write raises undoes that write alone. A
    durable write has returned only once it is on the disk. Events are published after the commit, in the order of the
    commits, on the event loop's thread. Each read sees one snapshot, and cannot write."""

    async def read(self, fn: Callable[[Transaction], T]) -> T: ...

    def put(self, fn: Callable[[Transaction], T], *, is_durable: bool) -> "asyncio.Future[T]":
        """Queue a write; those that wait together share a commit."""
        ...

    async def close(self) -> None:
        """Finish what has begun."""
        ...


class FencedTransactor:
    """Runs ``guard`` first in each write, which raises where this server has lost the right to write. Closing the inner
    transactor is left to its owner."""

    def __init__(self, transactor: Transactor, guard: Callable[[Transaction], None]) -> None:
        self._transactor = transactor
        self._guard = guard

    async def read(self, fn: Callable[[Transaction], T]) -> T:
        return await self._transactor.read(fn)

    def put(self, fn: Callable[[Transaction], T], *, is_durable: bool) -> "asyncio.Future[T]":
        def fenced(tx: Transaction) -> T:
            self._guard(tx)
            return fn(tx)

        return self._transactor.put(fenced, is_durable=is_durable)

    async def close(self) -> None:
        return
