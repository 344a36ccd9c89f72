"""The number of queued jobs by owner and pool, updated with every change of a job, so that nothing counts the queue."""

from sqlalchemy import Connection, func, select

from safelight.core.ids import UserId
from safelight.core.pool import Pool, QueueKey
from safelight.db.tables import IS_WAITING
from safelight.db.tables import queue_depth as table
from safelight.db.upsert import insert

_BY_POOL = (
    select(table.c.pool, func.sum(table.c.queued)).where(IS_WAITING).group_by(table.c.pool).order_by(table.c.pool)
)
_WAITING = select(table.c.owner_id, table.c.pool).where(IS_WAITING)


def change(conn: Connection, owner_id: UserId, *, pool: Pool, by: int) -> None:
    """Add ``by`` to the depth of a queue; negative for fewer jobs."""
    row = insert(conn, table).values(owner_id=owner_id, pool=pool, queued=by)
    keys = ["owner_id", "pool"]
    conn.execute(row.on_conflict_do_update(index_elements=keys, set_={"queued": table.c.queued + row.excluded.queued}))


def waiting(conn: Connection) -> list[QueueKey]:
    """The queues that have jobs."""
    return [QueueKey(UserId(owner), Pool(pool)) for owner, pool in conn.execute(_WAITING)]


def by_pool(conn: Connection) -> dict[Pool, int]:
    """How many jobs are queued for each pool."""
    return {Pool(pool): int(count) for pool, count in conn.execute(_BY_POOL)}
