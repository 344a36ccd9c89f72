"""Rows of credentials: API keys, sessions, setup links. They hold digests, never the secrets."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, insert, select

from safelight.core.credential import KeyId
from safelight.core.ids import UserId
from safelight.core.user import Principal
from safelight.db.tables import account, api_key, invitation, session, setup_link, user

_ALLOWED = account.c.is_disabled.is_(False)
_KEY = (
    select(user.c.id, user.c.is_admin, api_key.c.digest)
    .join_from(api_key, user, api_key.c.owner_id == user.c.id)
    .join(account, account.c.user_id == user.c.id)
    .where(api_key.c.id == bindparam("key"), _ALLOWED)
)
_SESSION = (
    select(user.c.id, user.c.is_admin, session.c.expires_at)
    .join_from(session, user, session.c.owner_id == user.c.id)
    .join(account, account.c.user_id == user.c.id)
    .where(session.c.digest == bindparam("of_digest"), session.c.expires_at > bindparam("now"), _ALLOWED)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    id: KeyId
    owner: str
    label: str
    created_at: datetime


def add_key(conn: Connection, key_id: KeyId, *, owner_id: UserId, digest: bytes, label: str, now: datetime) -> None:
    conn.execute(insert(api_key).values(id=key_id, owner_id=owner_id, digest=digest, label=label, created_at=now))


def find_key(conn: Connection, key_id: KeyId) -> tuple[Principal, bytes] | None:
    """The owner and the digest of a key; ``None`` if there is no such key, or its owner is disabled."""
    row = conn.execute(_KEY, {"key": key_id}).one_or_none()
    return (Principal(UserId(row.id), is_admin=row.is_admin), bytes(row.digest)) if row else None


def keys(conn: Connection) -> Sequence[KeyRow]:
    query = select(api_key.c.id, user.c.name, api_key.c.label, api_key.c.created_at)
    query = query.join_from(api_key, user, api_key.c.owner_id == user.c.id)
    return [
        KeyRow(id=KeyId(row.id), owner=row.name, label=row.label, created_at=row.created_at)
        for row in conn.execute(query.order_by(user.c.name, api_key.c.created_at, api_key.c.id))
    ]


def keys_of(conn: Connection, owner_id: UserId) -> Sequence[KeyRow]:
    """The owner's keys, by age."""
    query = select(api_key.c.id, user.c.name, api_key.c.label, api_key.c.created_at)
    query = query.join_from(api_key, user, api_key.c.owner_id == user.c.id).where(api_key.c.owner_id == owner_id)
    return [
        KeyRow(id=KeyId(row.id), owner=row.name, label=row.label, created_at=row.created_at)
        for row in conn.execute(query.order_by(api_key.c.created_at, api_key.c.id))
    ]


def drop_key_of(conn: Connection, owner_id: UserId, key_id: KeyId) -> bool:
    return conn.execute(delete(api_key).where(api_key.c.id == key_id, api_key.c.owner_id == owner_id)).rowcount == 1


def drop_key(conn: Connection, key_id: KeyId) -> bool:
    return conn.execute(delete(api_key).where(api_key.c.id == key_id)).rowcount == 1


def add_session(
    conn: Connection,
    digest: bytes,
    *,
    owner_id: UserId,
    now: datetime,
    expires_at: datetime,
    id_token: str | None = None,
) -> None:
    values = {"digest": digest, "owner_id": owner_id, "created_at": now, "expires_at": expires_at}
    conn.execute(delete(session).where(session.c.expires_at <= now))
    conn.execute(insert(session).values(**values, id_token=id_token))


def id_token_of(conn: Connection, digest: bytes) -> str | None:
    return conn.execute(select(session.c.id_token).where(session.c.digest == digest)).scalar_one_or_none()


def find_session(conn: Connection, digest: bytes, *, now: datetime) -> tuple[Principal, datetime] | None:
    """The user of a session and when it expires; ``None`` if it has expired, or the user is disabled."""
    row = conn.execute(_SESSION, {"of_digest": digest, "now": now}).one_or_none()
    return (Principal(UserId(row.id), is_admin=row.is_admin), row.expires_at) if row else None


def drop_session(conn: Connection, digest: bytes) -> bool:
    return conn.execute(delete(session).where(session.c.digest == digest)).rowcount == 1


@dataclass(frozen=True, slots=True)
class SessionRow:
    """``digest``: of the secret, which it does not reveal."""

    digest: bytes
    created_at: datetime
    expires_at: datetime


def sessions_of(conn: Connection, owner_id: UserId, *, now: datetime) -> Sequence[SessionRow]:
    query = select(session).where(session.c.owner_id == owner_id, session.c.expires_at > now)
    rows = conn.execute(query.order_by(session.c.created_at.desc(), session.c.digest))
    return [SessionRow(row.digest, row.created_at, row.expires_at) for row in rows]


def drop_sessions_of(conn: Connection, owner_id: UserId) -> None:
    conn.execute(delete(session).where(session.c.owner_id == owner_id))


def drop_keys_of(conn: Connection, owner_id: UserId) -> None:
    conn.execute(delete(api_key).where(api_key.c.owner_id == owner_id))


def replace_invitation(conn: Connection, digest: bytes, *, owner_id: UserId, expires_at: datetime) -> None:
    """Store an invitation and invalidate the user's earlier ones."""
    drop_invitations_of(conn, owner_id)
    conn.execute(insert(invitation).values(digest=digest, owner_id=owner_id, expires_at=expires_at))


def find_invitation(conn: Connection, digest: bytes, *, now: datetime) -> UserId | None:
    query = select(invitation.c.owner_id).where(invitation.c.digest == digest, invitation.c.expires_at > now)
    owner_id = conn.execute(query).scalar_one_or_none()
    return None if owner_id is None else UserId(owner_id)


def drop_invitations_of(conn: Connection, owner_id: UserId) -> None:
    conn.execute(delete(invitation).where(invitation.c.owner_id == owner_id))


def replace_setup_link(conn: Connection, digest: bytes, *, now: datetime) -> None:
    """Store a setup link and invalidate the earlier ones."""
    conn.execute(delete(setup_link))
    conn.execute(insert(setup_link).values(digest=digest, created_at=now))


def has_setup_link(conn: Connection, digest: bytes) -> bool:
    return conn.execute(select(setup_link.c.digest).where(setup_link.c.digest == digest)).first() is not None


def take_setup_link(conn: Connection, digest: bytes) -> bool:
    """Use up a setup link. Returns ``False`` if there is none with that digest."""
    return conn.execute(delete(setup_link).where(setup_link.c.digest == digest)).rowcount == 1
