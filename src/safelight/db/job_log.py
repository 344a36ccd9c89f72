"""Rows of job logs: one for each job that has logged something."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, select

from safelight.core.clock import from_ms, to_ms
from safelight.core.ids import UserId, job_ids_shown_as
from safelight.core.kept_log import KeptLog, Line
from safelight.db.tables import job
from safelight.db.tables import job_log as table
from safelight.db.upsert import insert

_CALLED = (job.c.owner_id == bindparam("owner")) & job.c.id.in_((bindparam("id"), bindparam("own_id")))
_SEQ = select(job.c.seq).where(_CALLED)
_ONE = select(table.c.lines, table.c.is_truncated).where(table.c.job_seq == bindparam("of"))
_LATEST = (
    select(job.c.owner_id, table.c.lines)
    .join(job, job.c.seq == table.c.job_seq)
    .order_by(table.c.job_seq.desc())
    .limit(bindparam("most"))
)
_OLD = (
    select(table.c.job_seq)
    .join(job, job.c.seq == table.c.job_seq)
    .where(job.c.owner_id == bindparam("owner"), job.c.ended_at < bindparam("before"))
)
_OLD_SIZE = select(func.count(), func.coalesce(func.sum(func.length(table.c.lines)), 0)).where(
    table.c.job_seq.in_(_OLD.correlate(None))
)


def find(conn: Connection, owner_id: UserId, *, job_id: str) -> KeptLog | None:
    """The log of the job that the owner knows by that id."""
    seq = _seq(conn, owner_id, job_id)
    row = None if seq is None else conn.execute(_ONE, {"of": seq}).first()
    return None if row is None else KeptLog(_lines(row.lines), row.is_truncated)


def append(conn: Connection, owner_id: UserId, *, job_id: str, log: KeptLog) -> None:
    """Add lines to the log of a job. Nothing happens if the job is gone."""
    seq = _seq(conn, owner_id, job_id)
    if seq is None:
        return
    before = conn.execute(_ONE, {"of": seq}).first()
    whole = log if before is None else KeptLog(_lines(before.lines), before.is_truncated).followed_by(log)
    row = {"lines": [[to_ms(at), text] for at, text in whole.lines], "is_truncated": whole.is_truncated}
    statement = insert(conn, table).values(job_seq=seq, **row)
    conn.execute(statement.on_conflict_do_update(index_elements=[table.c.job_seq], set_=row))


def latest(conn: Connection, *, at_most: int) -> list[tuple[UserId, list[Line]]]:
    """The lines of the newest jobs that have any, with the jobs' owners; newest job first."""
    return [(UserId(row.owner_id), _lines(row.lines)) for row in conn.execute(_LATEST, {"most": at_most})]


def old(conn: Connection, owner_id: UserId, *, before: datetime) -> tuple[int, int]:
    """The number of logs of jobs that ended before then, and their characters."""
    count, size = conn.execute(_OLD_SIZE, {"owner": owner_id, "before": before}).one()
    return count, int(size)


def remove_old(conn: Connection, owner_id: UserId, *, before: datetime, at_most: int) -> tuple[int, int]:
    """Remove up to ``at_most`` of the oldest logs of jobs that ended before then. Returns the same as :func:`old`."""
    oldest = _OLD.order_by(table.c.job_seq).limit(at_most)
    seqs = conn.execute(oldest, {"owner": owner_id, "before": before}).scalars().all()
    statement = delete(table).where(table.c.job_seq.in_(seqs)).returning(func.length(table.c.lines))
    sizes = conn.execute(statement).scalars().all() if seqs else []
    return len(sizes), sum(sizes)


def _seq(conn: Connection, owner_id: UserId, job_id: str) -> int | None:
    given, own = job_ids_shown_as(owner_id, job_id)
    return conn.execute(_SEQ, {"owner": owner_id, "id": given, "own_id": own}).scalar_one_or_none()


def _lines(rows: Any) -> list[Line]:
    return [(from_ms(at_ms), text) for at_ms, text in rows]
