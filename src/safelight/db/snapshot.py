"""A consistent copy of a database as one SQLite file, whichever kind the database is, and the way back.

Rows of PostgreSQL are read in one read-only transaction, so that they are of one moment, and compared after they were
written. A copy can be read back into either kind.
"""

import asyncio
from pathlib import Path

from sqlalchemy import Connection, bindparam, select

from safelight.core.ids import UserId
from safelight.db import migrate, name_search, sqlite
from safelight.db.copying import compare_tables, copy_tables
from safelight.db.engine import Database, is_postgres
from safelight.db.tables import IS_PUBLISHED, asset

_AT_ONCE = 500
_NAMES = (
    select(asset.c.seq, asset.c.owner_id, asset.c.search_name)
    .where(IS_PUBLISHED, asset.c.seq > bindparam("after"))
    .order_by(asset.c.seq)
    .limit(_AT_ONCE)
)


def take(url: str, to: Path) -> None:
    """Copy the database to a new file, while others read and write. Blocks; must not run on an event loop's thread.

    Raises :class:`~safelight.core.errors.Unavailable`, also for a database that is damaged.
    """
    if is_postgres(url):
        asyncio.run(_from_postgres(url, to))
    else:
        sqlite.copy(url, to)


async def _from_postgres(url: str, to: Path) -> None:
    db = await Database.open(url, on_commit=lambda events: None)
    try:
        await db.read(lambda tx: _write(tx.conn, to))
    finally:
        await db.close()


def _write(rows: Connection, to: Path) -> None:
    engine = sqlite.create(f"sqlite:///{to.resolve()}")
    to.touch(mode=0o600)
    migrate.to_head(engine)
    try:
        with engine.connect() as new:
            sqlite.run(new, "PRAGMA synchronous=OFF")  # the caller syncs the whole file
            sqlite.run(new, "BEGIN IMMEDIATE")
            copy_tables(rows, new)
            compare_tables(rows, new)
            _index_names(new)
            sqlite.run(new, "COMMIT")
            sqlite.run(new, "PRAGMA journal_mode=DELETE")  # one file, without a log beside it
    finally:
        engine.dispose()


def _index_names(conn: Connection) -> None:
    """PostgreSQL keeps the index of names by itself; SQLite's is made here."""
    after = 0
    while found := conn.execute(_NAMES, {"after": after}).all():
        for row in found:
            if row.search_name is not None:
                name_search.add(conn, UserId(row.owner_id), names=[(row.seq, row.search_name)])
        after = found[-1].seq
