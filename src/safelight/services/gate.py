"""Letting jobs through, or not: the administrator's verbs for the queue and for slots."""

from safelight.core.errors import Forbidden, Unavailable
from safelight.core.event import GatesChanged
from safelight.core.gate import Gates, QueueGate
from safelight.core.user import Principal
from safelight.core.worker import SlotGate, SlotId
from safelight.db import gate as rows
from safelight.db.transaction import Transaction


def load(tx: Transaction) -> Gates:
    return rows.load(tx.conn)


def set_queue(tx: Transaction, who: Principal, *, mode: QueueGate) -> Gates:
    """Raises :class:`Forbidden`."""
    _require_admin(who)
    rows.set_queue(tx.conn, mode)
    return _tell(tx)


def set_slot(tx: Transaction, who: Principal, *, slot: SlotId, mode: SlotGate) -> Gates:
    """A slot that is not there now may come, and finds its gate. Raises :class:`Forbidden`."""
    _require_admin(who)
    rows.set_slot(tx.conn, slot, mode)
    return _tell(tx)


def admit_job(tx: Transaction) -> None:
    """Raises :class:`Unavailable` while the queue drains."""
    if rows.load(tx.conn).queue is QueueGate.DRAINING:
        raise Unavailable("This server takes no new jobs for the moment: its queue is being drained")


def _require_admin(who: Principal) -> None:
    if not who.is_admin:
        raise Forbidden("The queue and its slots are for administrators")


def _tell(tx: Transaction) -> Gates:
    gates = rows.load(tx.conn)
    tx.emit(GatesChanged(gates))
    return gates
