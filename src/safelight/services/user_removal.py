"""Deleting a user with all their data, in two steps: end what they do, then delete what they have.

Their jobs, files, workflows, publications (links to them stop working), settings, keys and sessions go; the bytes
follow with the next housekeeping. Workflows that were given to everybody, and what the audit says, stay.
"""

from datetime import datetime

from safelight.core.errors import Conflict
from safelight.core.ids import UserId
from safelight.core.user import Account, Principal
from safelight.db import account as accounts
from safelight.db import user_removal as rows
from safelight.db.transaction import Transaction
from safelight.services import account_revision, audit, user_directory
from safelight.services import user as users


def end(tx: Transaction, who: Principal, *, user_id: UserId, now: datetime) -> Account:
    """Disable the user, which ends their sessions and jobs. An administrator, or the user themselves, may."""
    if who.user_id != user_id:
        user_directory.require_admin(who)
    account = users.get_by_id(tx, user_id)
    admins = {other.user_id for other in users.list(tx) if other.is_admin and not other.is_disabled}
    if admins == {user_id}:
        raise Conflict(f"{account.name!r} is the only administrator; make somebody else one first")
    users.disable(tx, name=account.name, disabled=True, now=now)
    return account


def has_ended(tx: Transaction, *, user_id: UserId) -> bool:
    """Whether none of the user's jobs runs any more."""
    return accounts.count_running(tx.conn, user_id) == 0


def remove(tx: Transaction, who: Principal, *, user_id: UserId, now: datetime) -> None:
    """Raises :class:`Conflict` while a job of theirs runs."""
    if who.user_id != user_id:
        user_directory.require_admin(who)
    account = users.get_by_id(tx, user_id)
    if not has_ended(tx, user_id=user_id):
        raise Conflict(f"a job of {account.name!r} is still running; try again in a few seconds")
    audit.write(tx, who, action="user.delete", subject=account.name, details={"id": user_id}, now=now)
    rows.remove_all(tx.conn, user_id)
    account_revision.increment(tx)
