"""Rows of idempotency keys."""

from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, delete

from safelight.core.ids import UserId
from safelight.db.tables import idempotency_key as table
from safelight.db.upsert import insert_in


def claim(conn: Connection, owner_id: UserId, *, key: str, now: datetime) -> bool:
    """Insert the key. Returns ``False`` if the owner has claimed it already."""
    values = {"owner": owner_id, "of_key": key, "now": now}
    return bool(conn.execute(_claim(conn.dialect.name), values).rowcount)


def forget(conn: Connection, *, before: datetime) -> int:
    """Delete the keys of all owners that were claimed before then, and return their number."""
    return conn.execute(delete(table).where(table.c.claimed_at < before)).rowcount


@cache
def _claim(dialect: str) -> Any:
    """Built once: it runs for each submission, and to build it costs more than to run it."""
    row = insert_in(dialect, table).values(
        owner_id=bindparam("owner"), key=bindparam("of_key"), claimed_at=bindparam("now")
    )
    return row.on_conflict_do_nothing(index_elements=["owner_id", "key"])
