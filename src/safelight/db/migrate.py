"""Upgrades a database to the current schema.

Alembic is imported only if there is something to migrate: a start with the current schema, and the first start with an
empty file, must take milliseconds. A test checks that the tables (``db/tables.py``) and the revisions agree.
"""

from sqlalchemy import Connection, Engine, inspect, text

from safelight.core.errors import Unavailable
from safelight.db import sqlite, tables

HEAD = "0019"
"""The newest revision in ``migrations/versions``."""


def to_head(engine: Engine) -> None:
    """Create or upgrade a SQLite file. Raises :class:`Unavailable` for one of a newer Safelight or another program."""
    with engine.connect() as conn:
        revision = revision_of(conn)
        if revision == HEAD:
            return
        sqlite.run(conn, "PRAGMA foreign_keys=OFF")  # a table that is rebuilt is missing for a moment
        sqlite.run(conn, "BEGIN IMMEDIATE")
        try:
            bring_to_head(conn)
        except BaseException:
            sqlite.run(conn, "ROLLBACK")
            raise
        sqlite.run(conn, "COMMIT")


def bring_to_head(conn: Connection) -> None:
    """Create or upgrade, in the caller's transaction, which must contain nothing else."""
    revision = revision_of(conn)
    if revision is None:
        _create(conn)
    elif revision != HEAD:
        _upgrade(conn, revision)


def revision_of(conn: Connection) -> str | None:
    """The revision of the schema; ``""``: older than the first revision; ``None``: an empty file."""
    names = set(inspect(conn).get_table_names())
    if "alembic_version" in names:
        return conn.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none() or ""
    if names:
        raise Unavailable(f"the database {conn.engine.url.database} has the tables of another program: {sorted(names)}")
    return None


def _create(conn: Connection) -> None:
    tables.metadata.create_all(conn)
    conn.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
    conn.execute(text("INSERT INTO alembic_version (version_num) VALUES (:head)"), {"head": HEAD})


def _upgrade(conn: Connection, revision: str) -> None:
    from alembic import command
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    from safelight.db.migrations import config

    settings = config(conn)
    try:
        if revision:
            ScriptDirectory.from_config(settings).get_revision(revision)
    except CommandError as error:
        raise Unavailable(
            f"the database {conn.engine.url.database} was made by a newer Safelight (its schema is {revision!r}); "
            "upgrade this server"
        ) from error
    command.upgrade(settings, "head")
