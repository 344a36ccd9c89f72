"""Searching in names: which assets' names hold a text. SQLite has an FTS5 index of trigrams for it; in PostgreSQL an
index of ``pg_trgm`` on ``asset.search_name`` serves ``LIKE`` itself, and nothing needs to be kept.

In FTS5 a user's names carry a mark of their owner, so that one user's search does not read through another's names.
"""

from collections.abc import Sequence
from hashlib import blake2b

from sqlalchemy import Connection, Select, TextClause, column, select, table, text

from safelight.core.ids import UserId

SHORTEST = 3
"""A text of fewer characters has no trigram."""

_names = table("asset_name", column("rowid"))
_INSERT = text("INSERT INTO asset_name (rowid, owner_key, name) VALUES (:seq, :mark, :name)")
_DELETE = text("DELETE FROM asset_name WHERE rowid = :seq")


def fold(name: str) -> str:
    """How names and what is looked for are compared."""
    return name.casefold()


def is_index(conn: Connection) -> bool:
    """Whether ``LIKE`` on the column is answered by an index."""
    return conn.dialect.name == "postgresql"


def add(conn: Connection, owner_id: UserId, *, names: Sequence[tuple[int, str]]) -> None:
    """``names``: folded, by the asset's ``seq``."""
    mark = _mark(owner_id)
    _run(conn, _INSERT, [{"seq": seq, "mark": mark, "name": name} for seq, name in names])


def remove(conn: Connection, *, seqs: Sequence[int]) -> None:
    _run(conn, _DELETE, [{"seq": seq} for seq in seqs])


def matching() -> Select[tuple[int]]:
    """``seq`` of the names that match the bound ``:pattern``; of other owners with the same mark, too."""
    rowid: Select[tuple[int]] = select(_names.c.rowid.label("seq"))
    return rowid.where(text("asset_name MATCH :pattern"))


def pattern(owner_id: UserId, *, contains: str) -> str:
    """The value of ``:pattern`` for a folded text of at least :data:`SHORTEST` characters."""
    quoted = contains.replace('"', '""').replace("\0", "")
    return f'owner_key : "{_mark(owner_id)}" AND name : "{quoted}"'


def _run(conn: Connection, statement: TextClause, rows: list[dict[str, object]]) -> None:
    if rows and conn.dialect.name == "sqlite":
        conn.execute(statement, rows)


def _mark(owner_id: UserId) -> str:
    """Three characters, one trigram. Two owners may share it."""
    return blake2b(owner_id.encode(), digest_size=2).hexdigest()[:3]
