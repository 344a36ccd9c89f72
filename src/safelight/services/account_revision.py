"""The accounts revision: a number that is incremented on every change of users, keys, sessions or roles."""

from dataclasses import dataclass

from safelight.core.event import AccessChanged
from safelight.db import account as rows
from safelight.db.transaction import Transaction


@dataclass(frozen=True, slots=True)
class AccountState:
    """``has_accounts``: whether the server has any account, so that it requires credentials."""

    revision: int
    has_accounts: bool


def read(tx: Transaction) -> AccountState:
    return AccountState(rows.revision(tx.conn), rows.exist(tx.conn))


def increment(tx: Transaction) -> None:
    """Make every server of this database drop its cached credentials: this one after the commit, others within a
    second."""
    rows.raise_revision(tx.conn)
    tx.emit(AccessChanged())
