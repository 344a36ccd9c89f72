"""``INSERT ... ON CONFLICT``, which SQLite and PostgreSQL share but SQLAlchemy spells per dialect."""

from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import sqlite


def insert(conn: Connection, table: Table) -> Any:
    """An insert that has ``on_conflict_do_nothing`` and ``on_conflict_do_update`` in this connection's dialect."""
    if conn.dialect.name != "postgresql":
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # two drivers' worth of modules, which SQLite starts without

    return postgresql.insert(table)
