"""Rows of node catalogues: what engines said that they can run, by digest."""

from datetime import datetime

from sqlalchemy import Connection, select

from safelight.core.digest import Digest
from safelight.db.tables import catalogue
from safelight.db.upsert import insert


def save(conn: Connection, *, digest: Digest, body: bytes, now: datetime) -> None:
    """Keep a catalogue, and remember that it is the one in use."""
    statement = insert(conn, catalogue).values(digest=digest, used_at=now, body=body)
    conn.execute(statement.on_conflict_do_update(index_elements=["digest"], set_={"used_at": now}))


def latest(conn: Connection) -> bytes | None:
    """The catalogue that was last in use."""
    return conn.execute(select(catalogue.c.body).order_by(catalogue.c.used_at.desc()).limit(1)).scalar_one_or_none()
