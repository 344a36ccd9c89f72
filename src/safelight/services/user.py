"""Users: the one local user of a server without accounts, and the accounts of all others.

These verbs are the administrator's, on the command line: they name users by their names.
"""

import math
import uuid
from collections.abc import Sequence
from datetime import datetime

from safelight.core.errors import Conflict, Invalid, InvalidName, NotFound
from safelight.core.ids import UserId
from safelight.core.user import LOCAL_PRINCIPAL, Account, Identity, Principal, Quota, check_name
from safelight.db import account as accounts
from safelight.db import credential as credentials
from safelight.db import user as rows
from safelight.db.transaction import Transaction
from safelight.services import account_revision, example_input
from safelight.services import job as jobs


def ensure_local(tx: Transaction, *, now: datetime) -> Principal:
    """Make the local user at the first start; every row that follows has an owner."""
    who = LOCAL_PRINCIPAL
    rows.ensure(tx.conn, who.user_id, name=who.user_id, is_admin=who.is_admin, now=now)
    return who


def add(
    tx: Transaction,
    *,
    name: str,
    is_admin: bool,
    password_hash: str | None = None,
    identity: Identity | None = None,
    now: datetime,
) -> Account:
    """Make an account; with the first one, nobody is let in without credentials any more."""
    name = check_name(name)
    user_id = UserId(uuid.uuid4().hex)
    added = accounts.add(
        tx.conn, user_id, name=name, is_admin=is_admin, password_hash=password_hash, identity=identity, now=now
    )
    if not added:
        raise Conflict(f"there is already a user {name!r}")
    example_input.give(tx, Principal(user_id), now=now)
    account_revision.increment(tx)
    return _get(tx, name)


def authenticate(tx: Transaction, identity: Identity) -> Principal | None:
    """The user that the identity stands for; ``None`` for nobody's, and for a disabled user's."""
    account = accounts.find_by_identity(tx.conn, identity)
    return None if account is None or account.is_disabled else account.principal


def welcome(tx: Transaction, identity: Identity, *, now: datetime) -> Principal | None:
    """:func:`authenticate`, and an account at first sight, named by the address that the issuer has verified.

    A name that is taken is never taken over: the newcomer gets one of random letters.
    """
    if accounts.find_by_identity(tx.conn, identity) is None:
        try:
            name = check_name(identity.name)
        except InvalidName:
            name = ""
        if not name or rows.is_taken(tx.conn, name):
            name = f"user-{uuid.uuid4().hex[:12]}"
        add(tx, name=name, is_admin=False, identity=identity, now=now)
    return authenticate(tx, identity)


def list(tx: Transaction) -> Sequence[Account]:
    """By name."""
    return accounts.everybody(tx.conn)


def find(tx: Transaction, who: Principal) -> Account | None:
    """The caller's own account; the local user has none."""
    return accounts.find(tx.conn, who.user_id)


def disable(tx: Transaction, *, name: str, disabled: bool, now: datetime) -> Account:
    """A disabled user's sessions and keys are gone for good, and their jobs end; what the user owns stays."""
    found = _get(tx, name)
    accounts.change(tx.conn, found.user_id, is_disabled=disabled)
    if disabled:
        credentials.drop_sessions_of(tx.conn, found.user_id)
        credentials.drop_keys_of(tx.conn, found.user_id)
        jobs.end_all(tx, Principal(found.user_id), now=now)
    account_revision.increment(tx)
    return _get(tx, name)


def set_password(tx: Transaction, *, name: str, password_hash: str) -> Account:
    """Ends the user's sessions: who knew the old password may be in one."""
    found = _get(tx, name)
    accounts.change(tx.conn, found.user_id, password_hash=password_hash)
    credentials.drop_sessions_of(tx.conn, found.user_id)
    account_revision.increment(tx)
    return _get(tx, name)


def set_admin(tx: Transaction, *, name: str, is_admin: bool) -> Account:
    accounts.change_admin(tx.conn, _get(tx, name).user_id, is_admin=is_admin)
    account_revision.increment(tx)
    return _get(tx, name)


def set_identity(tx: Transaction, *, name: str, identity: Identity) -> Account:
    """Let tokens of an identity provider stand for the user."""
    there = accounts.find_by_identity(tx.conn, identity)
    if there is not None and there.name != check_name(name):
        raise Conflict(f"{identity.subject!r} of {identity.issuer} is {there.name!r} already")
    accounts.change(tx.conn, _get(tx, name).user_id, issuer=identity.issuer, subject=identity.subject)
    account_revision.increment(tx)
    return _get(tx, name)


def set_quota(tx: Transaction, *, name: str, quota: Quota) -> Account:
    accounts.change_quota(tx.conn, _get(tx, name).user_id, quota=quota)
    return _get(tx, name)


def set_weight(tx: Transaction, *, name: str, weight: float) -> Account:
    """Counts from the user's next job on. Raises :class:`Invalid` for what is no positive number."""
    if not 0 < weight < math.inf:
        raise Invalid(f"a weight of {weight:g} is none: a number above 0 is needed")
    accounts.change(tx.conn, _get(tx, name).user_id, weight=weight)
    return _get(tx, name)


def reset_device_s(tx: Transaction, *, name: str) -> Account:
    """Begin the ledger of device-seconds anew."""
    accounts.change(tx.conn, _get(tx, name).user_id, used_device_s=0.0)
    return _get(tx, name)


def get_named(tx: Transaction, *, name: str) -> Account:
    return _get(tx, name)


def _get(tx: Transaction, name: str) -> Account:
    found = accounts.find_named(tx.conn, name.strip().lower())
    if found is None:
        raise NotFound(f"there is no user {name!r}")
    return found[0]
