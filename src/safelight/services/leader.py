"""Which of several servers leads: it alone claims jobs and speaks with workers. Each change of leader is an epoch."""

from datetime import datetime, timedelta

from safelight.core.errors import Conflict
from safelight.core.event import LeaderChanged
from safelight.core.leader import Leader
from safelight.db import leader as rows
from safelight.db.transaction import Transaction


class NotLeading(Conflict):
    """Another server leads by now: what this one would do as the leader is refused."""

    code = "not_leading"


def take(tx: Transaction, *, address: str, now: datetime) -> Leader:
    """Begin an epoch, for whoever holds the lock of the database's server. ``since`` of a later one is later, whatever
    the servers' clocks say."""
    last = rows.find(tx.conn)
    since = now if last is None else max(now, last.since + timedelta(milliseconds=1))
    new = Leader(1 if last is None else last.epoch + 1, address, since)
    rows.put(tx.conn, new)
    tx.emit(LeaderChanged(new.epoch))
    return new


def give_up(tx: Transaction, *, epoch: int) -> None:
    """The leader of ``epoch`` goes in good order."""
    rows.clear_address(tx.conn, of_epoch=epoch)
    tx.emit(LeaderChanged(epoch))


def check(tx: Transaction, *, epoch: int) -> None:
    """Raises :class:`NotLeading`."""
    now = rows.epoch(tx.conn)
    if now != epoch:
        raise NotLeading(f"this server led in epoch {epoch}, and it is epoch {now}")


def find(tx: Transaction) -> Leader | None:
    return rows.find(tx.conn)
