"""What state a database is in, without changing it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from safelight.db import migrate, postgres, sqlite
from safelight.db.engine import is_postgres


@dataclass(frozen=True, slots=True)
class Checked:
    """``revision``: of its schema; ``None`` for a database without tables. ``problems``: what is broken."""

    revision: str | None
    problems: Sequence[str]

    @property
    def is_current(self) -> bool:
        return self.revision == migrate.HEAD


async def check(url: str) -> Checked:
    """Raises :class:`Unavailable` where the database cannot be opened, or is something else's."""
    if not is_postgres(url):
        return await asyncio.to_thread(_check_sqlite, url)
    engine = postgres.create(url)
    try:
        conn = await postgres.connect(engine)
        try:
            return Checked(await conn.run_sync(migrate.revision_of), [])
        finally:
            await conn.close()
    finally:
        await engine.dispose()


def _check_sqlite(url: str) -> Checked:
    engine = sqlite.create(url)
    with engine.connect() as conn:
        return Checked(migrate.revision_of(conn), _broken(conn))


def _broken(conn: Connection) -> list[str]:
    """Pages, indices, and rows that name others. (PostgreSQL checks the latter by itself, and pages when it reads.)"""
    found = [str(row[0]) for row in conn.execute(text("PRAGMA integrity_check")) if row[0] != "ok"]
    broken = conn.execute(text("PRAGMA foreign_key_check")).all()
    return found + [f"row {row[1]} of {row[0]!r} names a row of {row[2]!r} that is not there" for row in broken]
