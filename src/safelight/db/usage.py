"""What users have used, by day, from the jobs in the history."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, Connection, func, select, type_coerce

from safelight.core.ids import UserId
from safelight.db.tables import job, user

_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DayOfUse:
    """``day``: days since 1970-01-01, UTC."""

    day: int
    user_id: UserId
    name: str
    jobs: int
    device_s: float


def by_day(conn: Connection, *, since: datetime) -> Sequence[DayOfUse]:
    """By day and name; users who ran nothing on a day are left out."""
    day = (type_coerce(job.c.ended_at, BigInteger) // _DAY_MS).label("day")
    query = (
        select(day, job.c.owner_id, user.c.name, func.count().label("jobs"), func.sum(job.c.device_s).label("device_s"))
        .join_from(job, user, user.c.id == job.c.owner_id)
        .where(job.c.ended_at.is_not(None), job.c.ended_at >= since)
        .group_by(day, job.c.owner_id, user.c.name)
        .order_by(day, user.c.name)
    )
    return [
        DayOfUse(day=row.day, user_id=UserId(row.owner_id), name=row.name, jobs=row.jobs, device_s=float(row.device_s))
        for row in conn.execute(query)
    ]
