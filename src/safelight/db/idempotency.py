"""Rows of idempotency keys."""

from datetime import datetime

from sqlalchemy import Connection, delete

from safelight.core.ids import UserId
from safelight.db.tables import idempotency_key as table
from safelight.db.upsert import insert


def claim(conn: Connection, owner_id: UserId, *, key: str, now: datetime) -> bool:
    """Insert the key. Returns ``False`` if the owner has claimed it already."""
    statement = insert(conn, table).values(owner_id=owner_id, key=key, claimed_at=now)
    return bool(conn.execute(statement.on_conflict_do_nothing(index_elements=["owner_id", "key"])).rowcount)


def forget(conn: Connection, *, before: datetime) -> int:
    """Delete the keys of all owners that were claimed before then, and return their number."""
    return conn.execute(delete(table).where(table.c.claimed_at < before)).rowcount
