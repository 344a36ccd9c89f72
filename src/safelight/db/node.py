"""Rows of node catalogues: the nodes that engines reported, by digest."""

from datetime import datetime

from sqlalchemy import Connection, select

from safelight.core.digest import Digest
from safelight.db.tables import catalogue
from safelight.db.upsert import insert


def save(conn: Connection, *, digest: Digest, body: bytes, now: datetime) -> None:
    """Store a catalogue, and mark it as the one in use."""
    statement = insert(conn, catalogue).values(digest=digest, used_at=now, body=body)
    conn.execute(statement.on_conflict_do_update(index_elements=["digest"], set_={"used_at": now}))


def latest(conn: Connection) -> bytes | None:
    """The catalogue that was used last."""
    return conn.execute(select(catalogue.c.body).order_by(catalogue.c.used_at.desc()).limit(1)).scalar_one_or_none()
