"""Rows of feedback."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select

from safelight.core.ids import UserId
from safelight.db.tables import feedback as table
from safelight.db.tables import user


def add(conn: Connection, owner_id: UserId, *, fields: Mapping[str, Any], now: datetime) -> None:
    """``fields``: type, rating, content, metadata."""
    conn.execute(insert(table).values(owner_id=owner_id, created_at=now, **fields))


@dataclass(frozen=True, slots=True)
class Message:
    name: str
    type: str
    content: str
    created_at: datetime


def latest(conn: Connection, *, limit: int) -> Sequence[Message]:
    """Of all users, newest first."""
    query = select(user.c.name, table.c.type, table.c.content, table.c.created_at)
    query = query.join_from(table, user, user.c.id == table.c.owner_id).order_by(table.c.seq.desc()).limit(limit)
    return [Message(row.name, row.type, row.content or "", row.created_at) for row in conn.execute(query)]


def count_since(conn: Connection, owner_id: UserId, *, since: datetime) -> int:
    query = select(func.count()).select_from(table).where(table.c.owner_id == owner_id, table.c.created_at > since)
    return conn.execute(query).scalar_one()
