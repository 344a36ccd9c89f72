"""Rows of files and jobs that are old, and that nothing keeps."""

from datetime import datetime

from sqlalchemy import Connection, Select, and_, bindparam, delete, exists, func, select

from safelight.core.asset import Folder
from safelight.core.ids import UserId
from safelight.core.retention import KEPT_TAG, Amount
from safelight.db import asset_index
from safelight.db.tables import (
    IS_PUBLISHED,
    IS_QUEUED,
    IS_RUNNING,
    asset,
    asset_tag,
    job,
    job_asset,
    user,
    workflow_asset,
)

_OLD = and_(
    asset.c.owner_id == bindparam("owner"),
    asset.c.folder == bindparam("in_folder"),
    asset.c.created_at < bindparam("before"),
    IS_PUBLISHED,
    ~exists().where(
        asset_tag.c.owner_id == asset.c.owner_id, asset_tag.c.tag == KEPT_TAG, asset_tag.c.asset_seq == asset.c.seq
    ),
    ~exists().where(workflow_asset.c.owner_id == asset.c.owner_id, workflow_asset.c.asset_id == asset.c.id),
    ~exists().where(
        job_asset.c.owner_id == asset.c.owner_id,
        job_asset.c.asset_id == asset.c.id,
        job.c.seq == job_asset.c.job_seq,
        IS_QUEUED | IS_RUNNING,
    ),
)
"""Read along the index of an owner's folder, in which ``seq`` is the order of creation."""
_PAGE: Select[int, int] = select(asset.c.seq, asset.c.size).where(_OLD).order_by(asset.c.seq).limit(bindparam("most"))
_AMOUNT = select(func.count(), func.coalesce(func.sum(asset.c.size), 0)).where(_OLD)
_TAGS = select(asset_tag.c.tag).where(asset_tag.c.asset_seq == bindparam("of"))
_DELETE = delete(asset).where(asset.c.owner_id == bindparam("owner"), asset.c.seq == bindparam("of"))
_ENDED = select(func.count()).where(job.c.owner_id == bindparam("owner"), job.c.ended_at < bindparam("before"))
_END = (
    select(job.c.ended_at)
    .where(job.c.owner_id == bindparam("owner"), job.c.ended_at.is_not(None))
    .order_by(job.c.ended_at.desc(), job.c.seq.desc())
    .limit(1)
    .offset(bindparam("newer"))
)
_IS_ADMIN = select(user.c.is_admin).where(user.c.id == bindparam("owner"))
_USERS = select(user.c.id).order_by(user.c.id)


def is_admin(conn: Connection, owner_id: UserId) -> bool:
    return bool(conn.execute(_IS_ADMIN, {"owner": owner_id}).scalar_one_or_none())


def end_of_job(conn: Connection, owner_id: UserId, *, newest: int) -> datetime | None:
    """When the job ended that follows the ``newest`` jobs of the owner that ended last; ``None`` if there is none."""
    return conn.execute(_END, {"owner": owner_id, "newer": newest}).scalar_one_or_none()


def owners(conn: Connection) -> list[UserId]:
    """All users."""
    return [UserId(owner) for owner in conn.execute(_USERS).scalars()]


def old_files(conn: Connection, owner_id: UserId, *, folder: Folder, before: datetime) -> Amount:
    values = {"owner": owner_id, "in_folder": folder.value, "before": before}
    count, size = conn.execute(_AMOUNT, values).one()
    return Amount(count, int(size))


def remove_old_files(conn: Connection, owner_id: UserId, *, folder: Folder, before: datetime, at_most: int) -> Amount:
    """Remove up to ``at_most`` of the oldest files."""
    values = {"owner": owner_id, "in_folder": folder.value, "before": before, "most": at_most}
    rows = conn.execute(_PAGE, values).all()
    for row in rows:
        tags = conn.execute(_TAGS, {"of": row.seq}).scalars().all()
        asset_index.remove(conn, owner_id, seq=row.seq, tags=tuple(tags))
        conn.execute(_DELETE, {"owner": owner_id, "of": row.seq})
    return Amount(len(rows), sum(row.size for row in rows))


def old_jobs(conn: Connection, owner_id: UserId, *, before: datetime) -> Amount:
    return Amount(conn.execute(_ENDED, {"owner": owner_id, "before": before}).scalar_one())
