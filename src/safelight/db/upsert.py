"""``INSERT ... ON CONFLICT``, which SQLite and PostgreSQL share, but for which SQLAlchemy has a class per dialect."""

from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import sqlite


def insert(conn: Connection, table: Table) -> Any:
    """An insert with ``on_conflict_do_nothing`` and ``on_conflict_do_update``, in the connection's dialect."""
    return insert_in(conn.dialect.name, table)


def insert_in(dialect: str, table: Table) -> Any:
    """The same for a statement that is built once and kept."""
    if dialect != "postgresql":
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # many modules, which a server with SQLite does not load

    return postgresql.insert(table)
