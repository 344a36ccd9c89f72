"""Rows of gates: what an administrator paused or drained."""

from sqlalchemy import Connection, bindparam, delete, select

from safelight.core.gate import Gates, QueueGate
from safelight.core.worker import SlotGate, SlotId
from safelight.db.tables import gate
from safelight.db.upsert import insert

_QUEUE = ""
_ALL = select(gate.c.subject, gate.c.mode)
_DROP = delete(gate).where(gate.c.subject == bindparam("of"))


def load(conn: Connection) -> Gates:
    modes = {row.subject: row.mode for row in conn.execute(_ALL)}
    queue = QueueGate(modes.pop(_QUEUE, QueueGate.OPEN))
    return Gates(queue, {SlotId(slot): SlotGate(mode) for slot, mode in sorted(modes.items())})


def set_queue(conn: Connection, mode: QueueGate) -> None:
    _set(conn, _QUEUE, mode)


def set_slot(conn: Connection, slot: SlotId, mode: SlotGate) -> None:
    _set(conn, slot, mode)


def _set(conn: Connection, subject: str, mode: QueueGate | SlotGate) -> None:
    conn.execute(_DROP, {"of": subject})
    if mode.value != "open":
        conn.execute(insert(conn, gate).values(subject=subject, mode=mode.value))
