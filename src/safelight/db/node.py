"""Rows of node catalogues: the nodes that engines reported, by engine kind and digest."""

from datetime import datetime

from sqlalchemy import Connection, select

from safelight.core.digest import Digest
from safelight.core.engine_kind import EngineKind
from safelight.db.tables import catalogue
from safelight.db.upsert import insert

_LATEST = select(catalogue.c.engine, catalogue.c.digest).order_by(catalogue.c.used_at)
_IS_KEY = ["engine", "digest"]


def save(conn: Connection, engine: EngineKind, *, digest: Digest, body: bytes, now: datetime) -> None:
    """Store a catalogue, and mark it as the engine kind's current one."""
    statement = insert(conn, catalogue).values(engine=engine, digest=digest, used_at=now, body=body)
    conn.execute(statement.on_conflict_do_update(index_elements=_IS_KEY, set_={"used_at": now}))


def latest(conn: Connection) -> dict[EngineKind, tuple[Digest, bytes]]:
    """The catalogue of each engine kind that was used last."""
    digests = {EngineKind(engine): digest for engine, digest in conn.execute(_LATEST)}
    return {engine: (digest, _body(conn, engine, digest)) for engine, digest in digests.items()}


def _body(conn: Connection, engine: EngineKind, digest: Digest) -> bytes:
    is_it = (catalogue.c.engine == engine, catalogue.c.digest == digest)
    return bytes(conn.execute(select(catalogue.c.body).where(*is_it)).scalar_one())
