"""Bring a database to the present schema.

Alembic is imported only where there is something to migrate: a start with the present schema, and the first start with
an empty file, must take milliseconds. That the tables (``db/tables.py``) and the revisions agree is a test's business.
"""

from sqlalchemy import Connection, Engine, inspect, text

from safelight.core.errors import Unavailable
from safelight.db import sqlite, tables

HEAD = "0012"
"""The newest revision in ``migrations/versions``."""


def to_head(engine: Engine) -> None:
    """Make or migrate a SQLite file. Raises :class:`Unavailable` for one of a newer Safelight, or of something else."""
    with engine.connect() as conn:
        revision = revision_of(conn)
        if revision == HEAD:
            return
        sqlite.run(conn, "PRAGMA foreign_keys=OFF")  # a table that is rebuilt is for a moment missing
        sqlite.run(conn, "BEGIN IMMEDIATE")
        try:
            bring_to_head(conn)
        except BaseException:
            sqlite.run(conn, "ROLLBACK")
            raise
        sqlite.run(conn, "COMMIT")


def bring_to_head(conn: Connection) -> None:
    """Make or migrate, in the caller's transaction, which no other may share."""
    revision = revision_of(conn)
    if revision is None:
        _create(conn)
    elif revision != HEAD:
        _upgrade(conn, revision)


def revision_of(conn: Connection) -> str | None:
    """``""``: before the first; ``None``: an empty file."""
    names = set(inspect(conn).get_table_names())
    if "alembic_version" in names:
        return conn.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none() or ""
    if names:
        raise Unavailable(
            f"the database {conn.engine.url.database} holds the tables of something else: {sorted(names)}"
        )
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
            f"the database {conn.engine.url.database} was made by a newer Safelight (its schema is {revision!r})"
        ) from error
    command.upgrade(settings, "head")
