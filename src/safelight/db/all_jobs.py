"""Rows of all users' jobs, as an administrator sees them. Each list reads along an index."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, select, update

from safelight.core.ids import JobId, UserId
from safelight.core.job import JobSummary
from safelight.core.paging import PageRequest
from safelight.core.pool import Pool
from safelight.db.job_columns import summary_of
from safelight.db.job_rows import SUMMARY
from safelight.db.tables import IS_QUEUED, IS_RUNNING, job, user

_ALL = select(*SUMMARY).limit(bindparam("limit")).offset(bindparam("offset"))
_QUEUED = _ALL.where(IS_QUEUED).order_by(job.c.owner_id, job.c.number, job.c.seq)
_RUNNING = _ALL.where(IS_RUNNING).order_by(job.c.seq)
_ENDED = _ALL.where(job.c.ended_at.is_not(None)).order_by(job.c.ended_at.desc(), job.c.seq.desc())
_OLDEST = select(job.c.pool, func.min(job.c.created_at)).where(IS_QUEUED).group_by(job.c.pool)
_LAST_USES = (
    select(job.c.models, func.max(job.c.started_at)).where(job.c.started_at.is_not(None)).group_by(job.c.models)
)
_NAMES = select(user.c.id, user.c.name).where(user.c.id.in_(bindparam("owners", expanding=True)))


def queued(conn: Connection, request: PageRequest) -> list[JobSummary]:
    """Queued jobs, each user's in the order in which they will run."""
    return _page(conn, _QUEUED, request)


def running(conn: Connection, request: PageRequest) -> list[JobSummary]:
    return _page(conn, _RUNNING, request)


def ended(conn: Connection, request: PageRequest) -> list[JobSummary]:
    """Ended jobs, latest first."""
    return _page(conn, _ENDED, request)


def oldest_queued(conn: Connection) -> Mapping[Pool, datetime]:
    """When the oldest queued job of each pool was submitted."""
    return {Pool(pool): at for pool, at in conn.execute(_OLDEST)}


def names(conn: Connection, owners: Sequence[UserId]) -> Mapping[UserId, str]:
    """Names of users."""
    return {UserId(row.id): row.name for row in conn.execute(_NAMES, {"owners": sorted(set(owners))})}


def to_front(conn: Connection, owner_id: UserId, *, job_id: JobId) -> bool:
    """Number a queued job below the owner's others. Returns whether it was queued."""
    first = select(func.min(job.c.number)).where(IS_QUEUED, job.c.owner_id == owner_id).scalar_subquery()
    mine = (job.c.owner_id == owner_id) & (job.c.id == job_id) & IS_QUEUED
    return conn.execute(update(job).where(mine).values(number=first - 1)).rowcount == 1


def last_uses_of_models(conn: Connection) -> Mapping[str, datetime]:
    """When a job that names a model last began, by the model's name."""
    uses: dict[str, datetime] = {}
    for models, at in conn.execute(_LAST_USES):
        for name in models or ():
            uses[name] = max(at, uses.get(name, at))
    return uses


def _page(conn: Connection, query: Select[Any], request: PageRequest) -> list[JobSummary]:
    return [summary_of(row) for row in conn.execute(query, {"limit": request.limit, "offset": request.offset})]
