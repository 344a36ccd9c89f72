"""Rows of run times: how many seconds calls and graphs took, by the kind of device and by their keys."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select

from safelight.db.batches import batches
from safelight.db.tables import run_time as table

KEPT = 40
"""Run times of one key that are kept: the newest."""

_OF_KEYS = (
    select(table.c.key, table.c.seconds)
    .where(table.c.device == bindparam("on"), table.c.key.in_(bindparam("keys", expanding=True)))
    .order_by(table.c.seq.desc())
)
_OLDEST_KEPT = (
    select(table.c.seq)
    .where(table.c.device == bindparam("on"), table.c.key == bindparam("of"))
    .order_by(table.c.seq.desc())
    .limit(1)
    .offset(KEPT - 1)
)


def add(conn: Connection, *, device: str, seconds: Mapping[str, float]) -> None:
    """Add one run time for each key, and drop the oldest ones of keys that have many."""
    rows = [{"device": device, "key": key, "seconds": value} for key, value in seconds.items()]
    if rows:
        conn.execute(insert(table), rows)
    for key in seconds:
        oldest = conn.execute(_OLDEST_KEPT, {"on": device, "of": key}).scalar_one_or_none()
        if oldest is not None:
            conn.execute(delete(table).where(table.c.device == device, table.c.key == key, table.c.seq < oldest))


def of_keys(conn: Connection, *, device: str, keys: Collection[str]) -> dict[str, list[float]]:
    """The run times of each key that has any, the newest first."""
    found: dict[str, list[Any]] = {}
    for some in batches(sorted(keys)):
        for row in conn.execute(_OF_KEYS, {"on": device, "keys": some}):
            found.setdefault(row.key, []).append(row.seconds)
    return found
