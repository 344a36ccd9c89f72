"""Rows of feedback."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select

from safelight.core.ids import UserId
from safelight.db.tables import feedback as table


def add(conn: Connection, owner_id: UserId, *, fields: Mapping[str, Any], now: datetime) -> None:
    """``fields``: type, rating, content, metadata."""
    conn.execute(insert(table).values(owner_id=owner_id, created_at=now, **fields))


def count_since(conn: Connection, owner_id: UserId, *, since: datetime) -> int:
    query = select(func.count()).select_from(table).where(table.c.owner_id == owner_id, table.c.created_at > since)
    return conn.execute(query).scalar_one()
