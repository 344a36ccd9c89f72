"""Which of several servers leads: only the leader claims jobs and talks to workers. Each leader has its own epoch."""

from datetime import datetime, timedelta

from safelight.core.errors import Conflict
from safelight.core.event import LeaderChanged
from safelight.core.leader import Leader
from safelight.db import leader as rows
from safelight.db.transaction import Transaction


class NotLeading(Conflict):
    """Another server leads now, so a write of this one as the leader is refused."""

    code = "not_leading"


def take(tx: Transaction, *, address: str, now: datetime) -> Leader:
    """Start an epoch, for the server that holds the database's leader lock. Its ``since`` is later than that of every
    earlier epoch, even if the servers' clocks differ."""
    last = rows.find(tx.conn)
    since = now if last is None else max(now, last.since + timedelta(milliseconds=1))
    new = Leader(1 if last is None else last.epoch + 1, address, since)
    rows.put(tx.conn, new)
    tx.emit(LeaderChanged(new.epoch))
    return new


def step_down(tx: Transaction, *, epoch: int) -> None:
    """Step down as the leader of ``epoch``, when the server stops in order."""
    rows.clear_address(tx.conn, of_epoch=epoch)
    tx.emit(LeaderChanged(epoch))


def check(tx: Transaction, *, epoch: int) -> None:
    """Raises :class:`NotLeading`."""
    now = rows.epoch(tx.conn)
    if now != epoch:
        raise NotLeading(f"this server led in epoch {epoch}, but the current epoch is {now}")


def find(tx: Transaction) -> Leader | None:
    return rows.find(tx.conn)
