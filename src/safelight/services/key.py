"""API keys: created and revoked by the administrator, shown once, looked up by the id that they contain."""

from collections.abc import Sequence
from datetime import datetime

from safelight.core.credential import ApiKey, KeyId, digest_of, is_secret_of, new_key, parse_key
from safelight.core.errors import Conflict, NotFound
from safelight.core.user import Principal
from safelight.db import account as accounts
from safelight.db import credential as rows
from safelight.db.credential import KeyRow
from safelight.db.transaction import Transaction
from safelight.services import account_revision


def create(tx: Transaction, *, user_name: str, label: str = "", now: datetime) -> ApiKey:
    found = accounts.find_named(tx.conn, user_name.strip().lower())
    if found is None:
        raise NotFound(f"there is no user {user_name!r}")
    if found[0].is_disabled:
        raise Conflict(f"the user {user_name!r} is disabled")
    key = new_key()
    owner_id = found[0].user_id
    rows.add_key(tx.conn, key.id, owner_id=owner_id, digest=digest_of(key.text), label=label[:255], now=now)
    return key


def list(tx: Transaction) -> Sequence[KeyRow]:
    """All keys, by user and age."""
    return rows.keys(tx.conn)


def of_user(tx: Transaction, who: Principal) -> Sequence[KeyRow]:
    """The caller's keys, by age."""
    return rows.keys_of(tx.conn, who.user_id)


def revoke_own(tx: Transaction, who: Principal, *, key_id: KeyId) -> None:
    """Revoke a key of the caller's. Raises :class:`NotFound`, also for another user's key."""
    if not rows.drop_key_of(tx.conn, who.user_id, key_id):
        raise NotFound(f"there is no key {key_id!r}")
    account_revision.increment(tx)


def revoke(tx: Transaction, *, key_id: KeyId) -> None:
    if not rows.drop_key(tx.conn, key_id):
        raise NotFound(f"there is no key {key_id!r}")
    account_revision.increment(tx)


def authenticate(tx: Transaction, text: str) -> Principal | None:
    """The user of a key; ``None`` for a key that is wrong, revoked, or of a disabled user."""
    key = parse_key(text)
    found = rows.find_key(tx.conn, key.id) if key else None
    if not is_secret_of(text, found[1] if found else None):
        return None
    return found[0] if found else None
