"""How many jobs wait in each lane: kept with every change of a job, so that nobody has to count the queue."""

from sqlalchemy import Connection, func, select

from safelight.core.ids import UserId
from safelight.core.pool import Pool, QueueKey
from safelight.db.tables import IS_WAITING, lane
from safelight.db.upsert import insert

_DEPTHS = select(lane.c.pool, func.sum(lane.c.queued)).where(IS_WAITING).group_by(lane.c.pool).order_by(lane.c.pool)
_WAITING = select(lane.c.owner_id, lane.c.pool).where(IS_WAITING)


def change(conn: Connection, owner_id: UserId, *, pool: Pool, by: int) -> None:
    """``by`` more jobs wait in the lane, or fewer."""
    row = insert(conn, lane).values(owner_id=owner_id, pool=pool, queued=by)
    keys = ["owner_id", "pool"]
    conn.execute(row.on_conflict_do_update(index_elements=keys, set_={"queued": lane.c.queued + row.excluded.queued}))


def waiting(conn: Connection) -> list[QueueKey]:
    """Every lane in which a job waits."""
    return [QueueKey(UserId(owner), Pool(pool)) for owner, pool in conn.execute(_WAITING)]


def depths(conn: Connection) -> dict[Pool, int]:
    """How many jobs wait, by pool."""
    return {Pool(pool): int(count) for pool, count in conn.execute(_DEPTHS)}
