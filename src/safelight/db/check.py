"""The state of a database, read without changing it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from safelight.db import migrate, postgres, sqlite
from safelight.db.engine import is_postgres


@dataclass(frozen=True, slots=True)
class CheckResult:
    """``revision``: of the schema; ``None`` for a database without tables. ``problems``: the damage found."""

    revision: str | None
    problems: Sequence[str]

    @property
    def is_current(self) -> bool:
        return self.revision == migrate.HEAD


async def check(url: str) -> CheckResult:
    """Raises :class:`Unavailable` if the database cannot be opened, or belongs to another program."""
    if not is_postgres(url):
        return await asyncio.to_thread(_check_sqlite, url)
    engine = postgres.create(url)
    try:
        conn = await postgres.connect(engine)
        try:
            return CheckResult(await conn.run_sync(migrate.revision_of), [])
        finally:
            await conn.close()
    finally:
        await engine.dispose()


def _check_sqlite(url: str) -> CheckResult:
    engine = sqlite.create(url)
    with engine.connect() as conn:
        return CheckResult(migrate.revision_of(conn), _broken(conn))


def _broken(conn: Connection) -> list[str]:
    """Check pages, indices and foreign keys. (PostgreSQL enforces foreign keys, and checks pages as it reads them.)"""
    found = [str(row[0]) for row in conn.execute(text("PRAGMA integrity_check")) if row[0] != "ok"]
    broken = conn.execute(text("PRAGMA foreign_key_check")).all()
    return found + [f"row {row[1]} of {row[0]!r} refers to a missing row of {row[2]!r}" for row in broken]
