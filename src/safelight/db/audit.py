"""Rows of the audit: who did what, newest first."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from safelight.core.audit import AuditEntry
from safelight.core.ids import UserId
from safelight.core.paging import PageRequest
from safelight.db.tables import audit as table


def add(conn: Connection, *, entry: AuditEntry) -> None:
    conn.execute(
        insert(table).values(
            at=entry.at,
            actor_id=entry.actor_id,
            actor_name=entry.actor_name,
            action=entry.action,
            subject=entry.subject[:255],
            details=dict(entry.details),
        )
    )


def page(
    conn: Connection, *, action: str | None, actor_id: UserId | None, request: PageRequest
) -> Sequence[AuditEntry]:
    query = select(table).order_by(table.c.seq.desc()).limit(request.limit).offset(request.offset)
    if action is not None:
        query = query.where(table.c.action == action)
    if actor_id is not None:
        query = query.where(table.c.actor_id == actor_id)
    return [
        AuditEntry(
            at=row.at,
            actor_id=UserId(row.actor_id),
            actor_name=row.actor_name,
            action=row.action,
            subject=row.subject,
            details=_details(row.details),
        )
        for row in conn.execute(query)
    ]


def remove_before(conn: Connection, moment: datetime) -> int:
    """Remove older entries and return their number."""
    return conn.execute(delete(table).where(table.c.at < moment)).rowcount


def _details(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
