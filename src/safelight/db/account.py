"""Rows of accounts: users who sign in, and their quotas."""

import operator
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import reduce
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Connection,
    Row,
    Select,
    bindparam,
    cast,
    exists,
    func,
    insert,
    select,
    update,
)

from safelight.core.ids import UserId
from safelight.core.user import Account, Identity, Quota
from safelight.db.tables import (
    access,
    account,
    asset,
    job,
    job_payload,
    publication,
    queue_depth,
    setting,
    user,
    userdata,
    workflow,
    workflow_version,
)
from safelight.db.upsert import insert as upsert

_COLUMNS: tuple[ColumnElement[Any], ...] = (
    user.c.id,
    user.c.name,
    user.c.is_admin,
    user.c.created_at,
    account.c.is_disabled,
    account.c.password_hash,
    account.c.stored_bytes,
    account.c.queued_jobs,
    account.c.running_jobs,
    account.c.device_s,
    account.c.run_limit_s,
    account.c.used_device_s,
    account.c.weight,
    account.c.renew_every_s,
)
_ALL: Select[Any] = select(*_COLUMNS).join_from(account, user, account.c.user_id == user.c.id)
_BY_ID = _ALL.where(account.c.user_id == bindparam("owner"))
_BY_NAME = _ALL.where(user.c.name == bindparam("called"))
_BY_SUBJECT = _ALL.where(account.c.issuer == bindparam("of_issuer"), account.c.subject == bindparam("of_subject"))
_ANY = select(exists(select(account.c.user_id)))
_REVISION = select(access.c.revision).where(access.c.id == 1)
_QUEUED = select(func.coalesce(func.sum(queue_depth.c.queued), 0)).where(queue_depth.c.owner_id == bindparam("owner"))
_RUNNING = select(func.count()).where(job.c.owner_id == bindparam("owner"), job.c.state == "running")
_OWNER: BindParameter[str] = bindparam("owner")


def _total(size: ColumnElement[Any]) -> ColumnElement[int]:
    return cast(func.coalesce(func.sum(size), 0), BigInteger)


def _bytes(*columns: ColumnElement[Any]) -> ColumnElement[Any]:
    """The size of texts, which both databases know without reading the text."""
    return reduce(operator.add, (func.octet_length(column) for column in columns))


_STORED = (
    select(_total(asset.c.size)).where(asset.c.owner_id == _OWNER),
    select(_total(userdata.c.size)).where(userdata.c.owner_id == _OWNER),
    select(_total(_bytes(setting.c.key, setting.c.value))).where(setting.c.owner_id == _OWNER),
    select(_total(publication.c.size)).where(publication.c.owner_id == _OWNER),
    select(_total(_bytes(workflow_version.c.content)))
    .join_from(workflow, workflow_version, workflow_version.c.workflow_seq == workflow.c.seq)
    .where(workflow.c.owner_id == _OWNER),
    select(_total(_bytes(job_payload.c.prompt, job_payload.c.extra_data)))
    .join_from(job, job_payload, job_payload.c.job_seq == job.c.seq)
    .where(job.c.owner_id == _OWNER),
)
"""Everything with which a user can fill the disk: files, settings, workflows, publications, job graphs."""
_BY_CLASS = (
    select(user.c.is_admin, _total(asset.c.size))
    .select_from(asset)
    .outerjoin(user, user.c.id == asset.c.owner_id)
    .group_by(user.c.is_admin)
)
"""Public assets have an owner without a row."""
_USE = (
    update(account)
    .where(account.c.user_id == bindparam("owner"))
    .values(used_device_s=account.c.used_device_s + bindparam("seconds"))
)


def add(
    conn: Connection,
    user_id: UserId,
    *,
    name: str,
    is_admin: bool,
    password_hash: str | None,
    identity: Identity | None,
    now: datetime,
) -> bool:
    """Add an account. Returns ``False`` if the name is taken."""
    new_user = upsert(conn, user).values(id=user_id, name=name, is_admin=is_admin, job_counter=0, created_at=now)
    if conn.execute(new_user.on_conflict_do_nothing(index_elements=["name"])).rowcount == 0:
        return False
    conn.execute(
        insert(account).values(
            user_id=user_id,
            is_disabled=False,
            password_hash=password_hash,
            issuer=identity.issuer if identity else None,
            subject=identity.subject if identity else None,
            used_device_s=0.0,
        )
    )
    return True


def exist(conn: Connection) -> bool:
    return bool(conn.execute(_ANY).scalar_one())


def find(conn: Connection, user_id: UserId) -> Account | None:
    row = conn.execute(_BY_ID, {"owner": user_id}).one_or_none()
    return _account(row) if row else None


def find_named(conn: Connection, name: str) -> tuple[Account, str | None] | None:
    """The account and the hash of its password."""
    row = conn.execute(_BY_NAME, {"called": name}).one_or_none()
    return (_account(row), row.password_hash) if row else None


def find_by_identity(conn: Connection, identity: Identity) -> Account | None:
    row = conn.execute(_BY_SUBJECT, {"of_issuer": identity.issuer, "of_subject": identity.subject}).one_or_none()
    return _account(row) if row else None


def list_all(conn: Connection) -> Sequence[Account]:
    return [_account(row) for row in conn.execute(_ALL.order_by(user.c.name))]


def change(conn: Connection, user_id: UserId, **values: Any) -> None:
    """``is_disabled``, ``password_hash``, ``issuer``, ``subject``, ``used_device_s``, ``weight``, ``renew_every_s``,
    ``renewed_at``."""
    conn.execute(update(account).where(account.c.user_id == user_id).values(**values))


def renew_due(conn: Connection, *, now: datetime) -> int:
    """Reset the used device time where it is due. The next time counts from the last due one, not from ``now``."""
    renewed = 0
    query = select(account.c.user_id, account.c.renewed_at, account.c.renew_every_s)
    for row in conn.execute(query.where(account.c.renew_every_s.is_not(None))).all():
        every = timedelta(seconds=row.renew_every_s)
        began = row.renewed_at or now
        if now - began < every:
            continue
        last = began + every * ((now - began) // every)
        change(conn, UserId(row.user_id), used_device_s=0.0, renewed_at=last)
        renewed += 1
    return renewed


def change_quota(conn: Connection, user_id: UserId, *, quota: Quota) -> None:
    conn.execute(update(account).where(account.c.user_id == user_id).values(**asdict(quota)))


def change_admin(conn: Connection, user_id: UserId, *, is_admin: bool) -> None:
    conn.execute(update(user).where(user.c.id == user_id).values(is_admin=is_admin))


def count_queued(conn: Connection, owner_id: UserId) -> int:
    return int(conn.execute(_QUEUED, {"owner": owner_id}).scalar_one())


def count_running(conn: Connection, owner_id: UserId) -> int:
    return conn.execute(_RUNNING, {"owner": owner_id}).scalar_one()


def stored_bytes(conn: Connection, owner_id: UserId) -> int:
    """Bytes of the owner's files (once for each asset), userdata, settings, all versions of workflows, publications,
    and the graphs of jobs in the queue and the history."""
    return sum(int(conn.execute(query, {"owner": owner_id}).scalar_one()) for query in _STORED)


def stored_bytes_by_class(conn: Connection) -> Mapping[str, int]:
    """Bytes of the assets of each class of owners."""
    sizes = dict.fromkeys(("administrators", "users", "public"), 0)
    for is_admin, size in conn.execute(_BY_CLASS):
        sizes["public" if is_admin is None else "administrators" if is_admin else "users"] += int(size)
    return sizes


def use_device(conn: Connection, owner_id: UserId, *, seconds: float) -> None:
    conn.execute(_USE, {"owner": owner_id, "seconds": seconds})


def revision(conn: Connection) -> int:
    return conn.execute(_REVISION).scalar_one_or_none() or 0


def raise_revision(conn: Connection) -> None:
    statement = upsert(conn, access).values(id=1, revision=1)
    conn.execute(statement.on_conflict_do_update(index_elements=["id"], set_={"revision": access.c.revision + 1}))


def _account(row: Row[Any]) -> Account:
    return Account(
        user_id=UserId(row.id),
        name=row.name,
        is_admin=row.is_admin,
        is_disabled=row.is_disabled,
        has_password=row.password_hash is not None,
        quota=Quota(
            stored_bytes=row.stored_bytes,
            queued_jobs=row.queued_jobs,
            running_jobs=row.running_jobs,
            device_s=row.device_s,
            run_limit_s=row.run_limit_s,
        ),
        used_device_s=row.used_device_s,
        weight=row.weight,
        renew_every_s=row.renew_every_s,
        created_at=row.created_at,
    )
