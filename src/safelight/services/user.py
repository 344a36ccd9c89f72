"""Users: the one local user of a server without accounts, and accounts.

Most functions serve the administrator's commands, which refer to users by name.
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

MIN_RENEWAL_S = 3600


def ensure_local(tx: Transaction, *, now: datetime) -> Principal:
    """Create the local user at the first start, so that every row has an owner."""
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
    """Create an account. From the first account on, the server requires credentials."""
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
    """The user of an identity; ``None`` for an unknown identity and for a disabled user."""
    account = accounts.find_by_identity(tx.conn, identity)
    return None if account is None or account.is_disabled else account.principal


def authenticate_or_create(tx: Transaction, identity: Identity, *, now: datetime) -> Principal | None:
    """:func:`authenticate`, after creating an account for a new identity, named by the e-mail address that the issuer
    has verified.

    If the name is taken, the new account gets a random name: it never takes over an existing one.
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
    """All accounts, by name."""
    return accounts.list_all(tx.conn)


def find(tx: Transaction, who: Principal) -> Account | None:
    """The caller's own account; the local user has none."""
    return accounts.find(tx.conn, who.user_id)


def find_by_id(tx: Transaction, user_id: UserId) -> Account | None:
    return accounts.find(tx.conn, user_id)


def get_by_id(tx: Transaction, user_id: UserId) -> Account:
    """Raises :class:`NotFound`."""
    found = accounts.find(tx.conn, user_id)
    if found is None:
        raise NotFound(f"there is no user {user_id!r}")
    return found


def disable(tx: Transaction, *, name: str, disabled: bool, now: datetime) -> Account:
    """Disable or enable a user. Disabling deletes their sessions and keys and ends their jobs; what they own stays."""
    found = _get(tx, name)
    accounts.change(tx.conn, found.user_id, is_disabled=disabled)
    if disabled:
        credentials.drop_sessions_of(tx.conn, found.user_id)
        credentials.drop_keys_of(tx.conn, found.user_id)
        credentials.drop_invitations_of(tx.conn, found.user_id)
        jobs.end_all(tx, Principal(found.user_id), now=now)
    account_revision.increment(tx)
    return _get(tx, name)


def set_password(tx: Transaction, *, name: str, password_hash: str) -> Account:
    """Set a password and end the user's sessions: one may belong to somebody who knew the old password."""
    found = _get(tx, name)
    accounts.change(tx.conn, found.user_id, password_hash=password_hash)
    credentials.drop_sessions_of(tx.conn, found.user_id)
    account_revision.increment(tx)
    return _get(tx, name)


def set_admin(tx: Transaction, *, name: str, is_admin: bool) -> Account:
    accounts.change_admin(tx.conn, _get(tx, name).user_id, is_admin=is_admin)
    account_revision.increment(tx)
    return _get(tx, name)


def rename(tx: Transaction, *, name: str, new_name: str) -> Account:
    """Files, jobs, keys and sessions belong to the user, not to the name. Raises :class:`Conflict` if it is taken."""
    new_name = check_name(new_name)
    found = _get(tx, name)
    if new_name != found.name and rows.is_taken(tx.conn, new_name):
        raise Conflict(f"there is already a user {new_name!r}")
    rows.rename(tx.conn, found.user_id, name=new_name)
    return _get(tx, new_name)


def set_renewal(tx: Transaction, *, name: str, every_s: int | None, now: datetime) -> Account:
    """Reset the used device time every so many seconds from now on; ``None``: never."""
    if every_s is not None and not MIN_RENEWAL_S <= every_s < 2**31:
        raise Invalid(f"invalid time between renewals {every_s} s; it must be at least {MIN_RENEWAL_S} s")
    accounts.change(tx.conn, _get(tx, name).user_id, renew_every_s=every_s, renewed_at=now)
    return _get(tx, name)


def renew_due(tx: Transaction, *, now: datetime) -> int:
    """Reset the used device time of users whose time it is, and return their number."""
    return accounts.renew_due(tx.conn, now=now)


def set_identity(tx: Transaction, *, name: str, identity: Identity) -> Account:
    """Let tokens of an identity provider authenticate the user."""
    existing = accounts.find_by_identity(tx.conn, identity)
    if existing is not None and existing.name != check_name(name):
        raise Conflict(f"{identity.subject!r} of {identity.issuer} already belongs to {existing.name!r}")
    accounts.change(tx.conn, _get(tx, name).user_id, issuer=identity.issuer, subject=identity.subject)
    account_revision.increment(tx)
    return _get(tx, name)


def set_quota(tx: Transaction, *, name: str, quota: Quota) -> Account:
    accounts.change_quota(tx.conn, _get(tx, name).user_id, quota=quota)
    return _get(tx, name)


def set_weight(tx: Transaction, *, name: str, weight: float) -> Account:
    """Set the user's share of the devices, from their next job on. Raises :class:`Invalid` for a weight that is not
    positive and finite."""
    if not 0 < weight < math.inf:
        raise Invalid(f"{weight:g} is not a valid weight; it must be a finite number above 0")
    accounts.change(tx.conn, _get(tx, name).user_id, weight=weight)
    return _get(tx, name)


def reset_device_s(tx: Transaction, *, name: str) -> Account:
    """Reset the user's used device-seconds to zero."""
    accounts.change(tx.conn, _get(tx, name).user_id, used_device_s=0.0)
    return _get(tx, name)


def get_named(tx: Transaction, *, name: str) -> Account:
    return _get(tx, name)


def _get(tx: Transaction, name: str) -> Account:
    found = accounts.find_named(tx.conn, name.strip().lower())
    if found is None:
        raise NotFound(f"there is no user {name!r}")
    return found[0]
