"""The row of the leading server."""

from sqlalchemy import Connection, select, update

from safelight.core.leader import Leader
from safelight.db.tables import leader
from safelight.db.upsert import insert

_ROW = select(leader.c.epoch, leader.c.address, leader.c.since)
_EPOCH = select(leader.c.epoch)
_FIRST = 1


def find(conn: Connection) -> Leader | None:
    row = conn.execute(_ROW).one_or_none()
    return None if row is None else Leader(row.epoch, row.address, row.since)


def epoch(conn: Connection) -> int:
    """The epoch of the current leader; 0 before the first."""
    return conn.execute(_EPOCH).scalar_one_or_none() or 0


def put(conn: Connection, new: Leader) -> None:
    values = {"epoch": new.epoch, "address": new.address, "since": new.since}
    added = insert(conn, leader).values(id=_FIRST, **values)
    conn.execute(added.on_conflict_do_update(index_elements=["id"], set_=values))


def clear_address(conn: Connection, *, of_epoch: int) -> None:
    conn.execute(update(leader).where(leader.c.epoch == of_epoch).values(address=""))
