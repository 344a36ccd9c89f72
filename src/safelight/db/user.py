"""Rows of users."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, exists, select, update

from safelight.core.ids import UserId
from safelight.core.user import Principal
from safelight.db.tables import asset, user
from safelight.db.upsert import insert

_NEXT = update(user).where(user.c.id == bindparam("owner")).values(job_counter=user.c.job_counter + 1)
_TAKE_NUMBER = _NEXT.returning(user.c.job_counter)
_PRINCIPAL = select(user.c.id, user.c.is_admin).where(user.c.id == bindparam("owner"))


def ensure(conn: Connection, user_id: UserId, *, name: str, is_admin: bool, now: datetime) -> None:
    """Create the user, unless there is one with that id."""
    conn.execute(
        insert(conn, user)
        .values(id=user_id, name=name, is_admin=is_admin, job_counter=0, created_at=now)
        .on_conflict_do_nothing(index_elements=["id"])
    )


def find(conn: Connection, user_id: UserId) -> Principal | None:
    row = conn.execute(_PRINCIPAL, {"owner": user_id}).one_or_none()
    return Principal(UserId(row.id), is_admin=row.is_admin) if row else None


def name_of(conn: Connection, user_id: UserId) -> str:
    return conn.execute(select(user.c.name).where(user.c.id == user_id)).scalar_one_or_none() or ""


def rename(conn: Connection, user_id: UserId, *, name: str) -> None:
    conn.execute(update(user).where(user.c.id == user_id).values(name=name))


def without_assets(conn: Connection) -> Sequence[UserId]:
    query = select(user.c.id).where(~exists().where(asset.c.owner_id == user.c.id)).order_by(user.c.id)
    return [UserId(user_id) for user_id in conn.execute(query).scalars()]


def is_taken(conn: Connection, name: str) -> bool:
    return conn.execute(select(user.c.id).where(user.c.name == name)).first() is not None


def take_number(conn: Connection, owner_id: UserId) -> int | None:
    """The next number of the owner's jobs, from 0; ``None`` if there is no such user."""
    after = conn.execute(_TAKE_NUMBER, {"owner": owner_id}).scalar_one_or_none()
    return None if after is None else after - 1
