"""A real database for each test, two users, and a clock that only moves when a test moves it.

SQLite, unless a test asks for each kind (the fixture ``each_database``), or ``SAFELIGHT_TEST_DATABASE=postgres``
for the other in all tests.
"""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from safelight.core.event import Event
from safelight.core.ids import UserId
from safelight.core.user import Principal
from safelight.db import user
from safelight.db.engine import Database
from safelight.db.transaction import Transaction

T = TypeVar("T")

ANNA = Principal(UserId("anna"))
BEN = Principal(UserId("ben"))
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


_kind = os.environ.get("SAFELIGHT_TEST_DATABASE", "sqlite")


@contextmanager
def kind(name: str) -> Iterator[None]:
    """The kind of database that :func:`url_of` returns: ``sqlite`` or ``postgres``."""
    global _kind
    before, _kind = _kind, name
    try:
        yield
    finally:
        _kind = before


def is_sqlite() -> bool:
    return _kind == "sqlite"


def url_of(folder: Path, name: str = "test.db") -> str:
    """The database of a folder: its file, or a database of its own."""
    if is_sqlite():
        return f"sqlite:///{folder}/{name}"
    from tests import postgres

    return postgres.url_of(folder / name)


def everything_in(folder: Path, name: str = "test.db") -> bytes:
    """Everything that the database of a folder stores."""
    if is_sqlite():
        return b"".join(path.read_bytes() for path in folder.glob(f"{name}*"))
    from tests import postgres

    return postgres.dump(url_of(folder, name))


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def add_users(tx: Transaction) -> None:
    for who in (ANNA, BEN):
        user.ensure(tx.conn, who.user_id, name=who.user_id, is_admin=False, now=NOW)


@asynccontextmanager
async def opened(folder: Path, *, on_commit: Callable[[Any], None] = lambda events: None) -> AsyncIterator[Database]:
    """The database of ``folder``, with its users."""
    db = await Database.open(url_of(folder), on_commit=on_commit)
    try:
        await db.write(add_users)
        yield db
    finally:
        await db.close()


class Env:
    """A database for tests that call services, each call in its own transaction; ``events``: those published so far."""

    def __init__(self, db: Database, events: list[Event]) -> None:
        self.db = db
        self.events = events

    async def do(self, verb: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        return await self.db.write(lambda tx: verb(tx, *args, **kwargs))

    async def read(self, verb: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        return await self.db.read(lambda tx: verb(tx, *args, **kwargs))

    def take_events(self) -> list[Event]:
        events, self.events[:] = list(self.events), []
        return events
