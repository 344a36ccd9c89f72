"""Sessions of browsers, and the link that creates the first administrator."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NewType

from safelight.core.credential import digest_of, new_token
from safelight.core.errors import Forbidden, NotFound
from safelight.core.user import Account, Principal
from safelight.db import account as accounts
from safelight.db import credential as rows
from safelight.db.transaction import Transaction
from safelight.services import account_revision, audit
from safelight.services import user as users

LIFETIME = timedelta(days=30)
NO_SETUP = "this link is not valid any more; a server without accounts prints a new one when it starts"


@dataclass(frozen=True, slots=True)
class Session:
    principal: Principal
    expires_at: datetime


def find_password(tx: Transaction, *, name: str) -> tuple[Account, str | None] | None:
    """The account of this name and its password hash; ``None`` for an unknown name and for a disabled account."""
    found = accounts.find_named(tx.conn, name.strip().lower())
    return None if found is None or found[0].is_disabled else found


def start(tx: Transaction, who: Principal, *, id_token: str | None = None, now: datetime) -> str:
    """Start a session and return its secret. ``id_token``: of the identity provider at which it began.

    Raises :class:`Forbidden` for a user who has been disabled."""
    account = accounts.find(tx.conn, who.user_id)
    if account is None or account.is_disabled:
        raise Forbidden("this user cannot sign in")
    token = new_token()
    expires_at = now + LIFETIME
    rows.add_session(tx.conn, digest_of(token), owner_id=who.user_id, now=now, expires_at=expires_at, id_token=id_token)
    audit.write(tx, who, action="session.begin", subject=account.name, now=now)
    return token


def authenticate(tx: Transaction, token: str, *, now: datetime) -> Session | None:
    found = rows.find_session(tx.conn, digest_of(token), now=now)
    return Session(*found) if found else None


def end(tx: Transaction, *, token: str) -> str | None:
    """Sign out, and return the ID token with which the session began, if any. A session that has ended already is not
    an error."""
    id_token = rows.id_token_of(tx.conn, digest_of(token))
    if rows.drop_session(tx.conn, digest_of(token)):
        account_revision.increment(tx)
    return id_token


SessionId = NewType("SessionId", str)
"""The start of the digest of a session's secret, in hexadecimal."""


@dataclass(frozen=True, slots=True)
class OwnSession:
    """``is_this``: the caller's request belongs to it."""

    id: SessionId
    created_at: datetime
    expires_at: datetime
    is_this: bool


def of_user(tx: Transaction, who: Principal, *, token: str | None, now: datetime) -> Sequence[OwnSession]:
    """The caller's sessions, latest first. ``token``: the secret of the one of the request, if any."""
    this = digest_of(token) if token else b""
    found = rows.sessions_of(tx.conn, who.user_id, now=now)
    return [OwnSession(_id_of(row.digest), row.created_at, row.expires_at, row.digest == this) for row in found]


def end_own(tx: Transaction, who: Principal, *, session_id: SessionId, now: datetime) -> None:
    """End a session of the caller's. Raises :class:`NotFound`, also for another user's."""
    found = [row for row in rows.sessions_of(tx.conn, who.user_id, now=now) if _id_of(row.digest) == session_id]
    if not found:
        raise NotFound(f"there is no session {session_id!r}")
    rows.drop_session(tx.conn, found[0].digest)
    account_revision.increment(tx)


def _id_of(digest: bytes) -> SessionId:
    return SessionId(digest.hex()[:16])


def offer_setup(tx: Transaction, *, now: datetime) -> str:
    """Create a link that makes the first administrator, once, and return its secret. Earlier links become invalid."""
    token = new_token()
    rows.replace_setup_link(tx.conn, digest_of(token), now=now)
    return token


def is_setup_offered(tx: Transaction, *, token: str) -> bool:
    return rows.has_setup_link(tx.conn, digest_of(token)) and not accounts.exist(tx.conn)


def set_up(tx: Transaction, *, token: str, name: str, password_hash: str, now: datetime) -> Account:
    """Create the first administrator. Raises :class:`Forbidden` for a link that was replaced or used, or if there are
    accounts already."""
    if not rows.take_setup_link(tx.conn, digest_of(token)) or accounts.exist(tx.conn):
        raise Forbidden(NO_SETUP)
    return users.add(tx, name=name, is_admin=True, password_hash=password_hash, now=now)
