"""Copies all rows of one database to another, and verifies the copy."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from sqlalchemy import Column, Connection, Row, Table, exists, func, insert, select, tuple_

from safelight.core.errors import Conflict, Unavailable
from safelight.db import sqlite
from safelight.db.engine import Database, is_postgres
from safelight.db.tables import metadata
from safelight.db.transaction import Transaction

_CHUNK = 500


async def copy(source: str, target: str) -> Mapping[str, int]:
    """Copy a SQLite database to an empty PostgreSQL database, both given by URL. Returns the rows of each table.

    Copies all or nothing: every row is read back and compared in the transaction that wrote it. Both databases are
    upgraded to the current schema first. Raises :class:`Unavailable` if a server runs on either or a row differs, and
    :class:`Conflict` if the target has rows.
    """
    if is_postgres(source):
        raise Unavailable("only a SQLite database can be copied; for PostgreSQL, use `safelight backup`")
    if not is_postgres(target):
        raise Unavailable("the target must be a PostgreSQL database: postgresql://user:password@host/name")
    ours = await Database.open(source, on_commit=lambda events: None, is_server=True)  # locks out other writers
    try:
        theirs = await Database.open(target, on_commit=lambda events: None, is_server=True)
        try:
            return await theirs.write(lambda tx: _copy(source, tx))
        finally:
            await theirs.close()
    finally:
        await ours.close()


def _copy(source: str, tx: Transaction) -> Mapping[str, int]:
    engine = sqlite.create(source)
    with engine.connect() as old:
        for table in metadata.sorted_tables:
            if tx.conn.execute(select(exists(select(table)))).scalar_one():
                raise Conflict(f"the target database is not empty: its table {table.name!r} has rows")
        counts = copy_tables(old, tx.conn)
        compare_tables(old, tx.conn)
    return counts


def copy_tables(old: Connection, new: Connection) -> Mapping[str, int]:
    """Copy the rows of all tables into empty ones. Returns the rows of each table."""
    return {table.name: _copy_table(table, old, new) for table in metadata.sorted_tables}


def compare_tables(old: Connection, new: Connection) -> None:
    """Raises :class:`Unavailable` for the first row that differs."""
    for table in metadata.sorted_tables:
        _compare(table, old, new)


def _copy_table(table: Table, old: Connection, new: Connection) -> int:
    count = 0
    for rows in _chunks(table, old):
        new.execute(insert(table), [dict(row._mapping) for row in rows])
        count += len(rows)
    numbered = table.autoincrement_column
    if numbered is not None and count and new.dialect.name == "postgresql":
        sequence = func.pg_get_serial_sequence(f'"{table.name}"', numbered.name)
        new.execute(select(func.setval(sequence, select(func.max(numbered)).scalar_subquery())))
    return count


def _compare(table: Table, old: Connection, new: Connection) -> None:
    for ours, theirs in zip_longest(_rows(table, old), _rows(table, new)):
        if ours is None or theirs is None or tuple(ours) != tuple(theirs):
            raise Unavailable(f"a row of {table.name!r} changed when it was copied: {ours} became {theirs}")


def _rows(table: Table, conn: Connection) -> Iterator[Row[Any]]:
    for chunk in _chunks(table, conn):
        yield from chunk


def _chunks(table: Table, conn: Connection) -> Iterator[Sequence[Row[Any]]]:
    """The rows in chunks, by primary key: each chunk starts after the last key of the one before."""
    key: list[Column[Any]] = list(table.primary_key)
    query = select(table).order_by(*key).limit(_CHUNK)
    rows = conn.execute(query).all()
    while rows:
        yield rows
        last = [rows[-1]._mapping[column] for column in key]
        after = tuple_(*key) > tuple_(*last, types=[column.type for column in key])
        rows = conn.execute(query.where(after)).all()
