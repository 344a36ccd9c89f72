"""Who may come in: whether there are accounts, and a number that rises with every change of who may do what."""

from dataclasses import dataclass

from safelight.core.event import AccessChanged
from safelight.db import account as rows
from safelight.db.transaction import Transaction


@dataclass(frozen=True, slots=True)
class AccessState:
    revision: int
    has_accounts: bool


def look(tx: Transaction) -> AccessState:
    return AccessState(rows.revision(tx.conn), rows.exist(tx.conn))


def tell_change(tx: Transaction) -> None:
    """Servers of this database drop what they remember of credentials: this one at once, others within a second."""
    rows.raise_revision(tx.conn)
    tx.emit(AccessChanged())
