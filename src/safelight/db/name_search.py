"""Search for assets whose name contains a text. On SQLite it uses an FTS5 index of trigrams, which is maintained here;
on PostgreSQL a ``pg_trgm`` index on ``asset.search_name`` serves ``LIKE`` directly.

In FTS5, names are stored with a mark of their owner, so that a search does not read the names of other users.
"""

from collections.abc import Sequence
from hashlib import blake2b

from sqlalchemy import Connection, Select, TextClause, column, select, table, text

from safelight.core.ids import UserId

SHORTEST = 3
"""Shorter texts have no trigram."""

_names = table("asset_name", column("rowid"))
_INSERT = text("INSERT INTO asset_name (rowid, owner_key, name) VALUES (:seq, :mark, :name)")
_DELETE = text("DELETE FROM asset_name WHERE rowid = :seq")


def fold(name: str) -> str:
    """The form in which names and search texts are compared."""
    return name.casefold()


def is_index(conn: Connection) -> bool:
    """Whether an index serves ``LIKE`` on the column."""
    return conn.dialect.name == "postgresql"


def add(conn: Connection, owner_id: UserId, *, names: Sequence[tuple[int, str]]) -> None:
    """Add names. ``names``: pairs of the asset's ``seq`` and its folded name."""
    mark = _mark(owner_id)
    _run(conn, _INSERT, [{"seq": seq, "mark": mark, "name": name} for seq, name in names])


def remove(conn: Connection, *, seqs: Sequence[int]) -> None:
    _run(conn, _DELETE, [{"seq": seq} for seq in seqs])


def matching() -> Select[tuple[int]]:
    """The ``seq`` of names that match the bound ``:pattern``, including those of owners with the same mark."""
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
    """Three characters, one trigram. Two owners may have the same mark."""
    return blake2b(owner_id.encode(), digest_size=2).hexdigest()[:3]
