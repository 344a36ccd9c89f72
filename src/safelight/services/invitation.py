"""Links with which users choose a password: their first one, or a new one when they have forgotten it."""

from datetime import datetime, timedelta

from safelight.core.credential import digest_of, new_token
from safelight.core.errors import Forbidden
from safelight.core.ids import UserId
from safelight.core.user import Account
from safelight.db import credential as rows
from safelight.db.transaction import Transaction
from safelight.services import user as users

LIFETIME = timedelta(days=14)
NOT_VALID = "this link is not valid any more; ask your administrator for a new one"


def invite(tx: Transaction, user_id: UserId, *, now: datetime) -> str:
    """Make a link for the user and return its secret. Earlier links of the user become invalid."""
    token = new_token()
    rows.replace_invitation(tx.conn, digest_of(token), owner_id=user_id, expires_at=now + LIFETIME)
    return token


def invited(tx: Transaction, *, token: str, now: datetime) -> Account:
    """The user whom the link invites. Raises :class:`Forbidden` for a link that was used, replaced or has expired, and
    for a disabled user."""
    owner_id = rows.find_invitation(tx.conn, digest_of(token), now=now)
    account = users.find_by_id(tx, owner_id) if owner_id is not None else None
    if account is None or account.is_disabled:
        raise Forbidden(NOT_VALID)
    return account


def accept(tx: Transaction, *, token: str, password_hash: str, now: datetime) -> Account:
    """Set the password of the invited user, and use the link up."""
    account = invited(tx, token=token, now=now)
    rows.drop_invitations_of(tx.conn, account.user_id)
    return users.set_password(tx, name=account.name, password_hash=password_hash)
