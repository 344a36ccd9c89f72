"""Opening and closing the gates of the queue and of slots, which decide whether jobs start; for administrators."""

from safelight.core.errors import Forbidden, Unavailable
from safelight.core.event import GatesChanged
from safelight.core.gate import Gates, QueueGate
from safelight.core.user import Principal
from safelight.core.worker import SlotGate, SlotId
from safelight.db import gate as rows
from safelight.db.transaction import Transaction


def load(tx: Transaction) -> Gates:
    return rows.load(tx.conn)


def set_queue(tx: Transaction, who: Principal, *, mode: QueueGate, is_at_once: bool = False) -> Gates:
    """Set the gate of the queue. ``is_at_once``: jobs that run behind a closed gate go back to the queue. Raises
    :class:`Forbidden`."""
    _require_admin(who)
    rows.set_queue(tx.conn, mode)
    return _tell(tx, is_at_once=is_at_once)


def set_slot(tx: Transaction, who: Principal, *, slot: SlotId, mode: SlotGate, is_at_once: bool = False) -> Gates:
    """Set the gate of a slot, which may be one that connects later. Opening also readmits a slot that was shut after
    repeated losses. ``is_at_once``: a job that runs behind a drained gate goes back to the queue. Raises
    :class:`Forbidden`."""
    _require_admin(who)
    rows.set_slot(tx.conn, slot, mode)
    return _tell(tx, opened=slot if mode is SlotGate.OPEN else None, is_at_once=is_at_once)


def admit_job(tx: Transaction) -> None:
    """Raises :class:`Unavailable` while the queue drains or is closed."""
    if not rows.load(tx.conn).accepts_jobs:
        raise Unavailable("this server accepts no new jobs at the moment: its queue is drained or closed")


def _require_admin(who: Principal) -> None:
    if not who.is_admin:
        raise Forbidden("only administrators may change the gates of the queue and of slots")


def _tell(tx: Transaction, *, opened: SlotId | None = None, is_at_once: bool = False) -> Gates:
    gates = rows.load(tx.conn)
    tx.emit(GatesChanged(gates, opened=opened, is_at_once=is_at_once))
    return gates
