"""The number of queued jobs by owner and pool, updated with every change of a job, so that nothing counts the queue."""

from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from safelight.core.ids import UserId
from safelight.core.pool import Pool, QueueKey
from safelight.db.tables import IS_WAITING
from safelight.db.tables import queue_depth as table
from safelight.db.upsert import insert_in

_BY_POOL = (
    select(table.c.pool, func.sum(table.c.queued)).where(IS_WAITING).group_by(table.c.pool).order_by(table.c.pool)
)
_WAITING = select(table.c.owner_id, table.c.pool).where(IS_WAITING)


def change(conn: Connection, owner_id: UserId, *, pool: Pool, by: int) -> None:
    """Add ``by`` to the depth of a queue; negative for fewer jobs."""
    conn.execute(_change(conn.dialect.name), {"owner": owner_id, "of": pool, "by": by})


@cache
def _change(dialect: str) -> Any:
    """Built once: it runs twice for each job, and to build it costs more than to run it."""
    row = insert_in(dialect, table).values(owner_id=bindparam("owner"), pool=bindparam("of"), queued=bindparam("by"))
    keys = ["owner_id", "pool"]
    return row.on_conflict_do_update(index_elements=keys, set_={"queued": table.c.queued + row.excluded.queued})


def waiting(conn: Connection) -> list[QueueKey]:
    """The queues that have jobs."""
    return [QueueKey(UserId(owner), Pool(pool)) for owner, pool in conn.execute(_WAITING)]


def by_pool(conn: Connection) -> dict[Pool, int]:
    """How many jobs are queued for each pool."""
    return {Pool(pool): int(count) for pool, count in conn.execute(_BY_POOL)}
