"""The number of queued jobs by owner and requirements, updated with every change of a job, so that nothing counts the
queue."""

from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from safelight.core.engine_kind import as_text, from_text
from safelight.core.ids import UserId
from safelight.core.pool import Pool, QueueKey, Requirements
from safelight.db.tables import IS_WAITING
from safelight.db.tables import queue_depth as table
from safelight.db.upsert import insert_in

_OF_ALL = (table.c.pool, table.c.engines)
_DEPTHS = select(*_OF_ALL, func.sum(table.c.queued)).where(IS_WAITING).group_by(*_OF_ALL).order_by(*_OF_ALL)
_BY_KEY = select(table.c.owner_id, *_OF_ALL, table.c.queued).where(IS_WAITING)
_WAITING = select(table.c.owner_id, *_OF_ALL).where(IS_WAITING)


def change(conn: Connection, key: QueueKey, *, by: int) -> None:
    """Add ``by`` to the depth of a queue; negative for fewer jobs."""
    values = {"owner": key.owner_id, "of": key.pool, "on": as_text(key.engines), "by": by}
    conn.execute(_change(conn.dialect.name), values)


@cache
def _change(dialect: str) -> Any:
    """Built once: it runs twice for each job, and to build it costs more than to run it."""
    row = insert_in(dialect, table).values(
        owner_id=bindparam("owner"), pool=bindparam("of"), engines=bindparam("on"), queued=bindparam("by")
    )
    keys = ["owner_id", "pool", "engines"]
    return row.on_conflict_do_update(index_elements=keys, set_={"queued": table.c.queued + row.excluded.queued})


def waiting(conn: Connection) -> list[QueueKey]:
    """The queues that have jobs."""
    rows = conn.execute(_WAITING)
    return [QueueKey(UserId(owner), Pool(pool), from_text(engines)) for owner, pool, engines in rows]


def by_key(conn: Connection) -> dict[QueueKey, int]:
    """How many jobs wait in each queue that has any."""
    rows = conn.execute(_BY_KEY)
    return {QueueKey(UserId(owner), Pool(pool), from_text(engines)): int(n) for owner, pool, engines, n in rows}


def by_requirements(conn: Connection) -> dict[Requirements, int]:
    """How many jobs of all owners are queued with the same requirements."""
    rows = conn.execute(_DEPTHS)
    return {Requirements(Pool(pool), from_text(engines)): int(count) for pool, engines, count in rows}
