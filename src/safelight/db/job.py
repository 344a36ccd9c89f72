"""Rows of jobs as their owners see them. The dispatcher's view of them is in ``db/attempt.py``."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, bindparam, delete, func, insert, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from safelight.core.ids import JobId, UserId, job_ids_shown_as
from safelight.core.job import TERMINAL, Job, JobState, JobSummary
from safelight.core.paging import PageRequest
from safelight.db import queue_depth as depths
from safelight.db.batches import batches
from safelight.db.job_columns import changed_row, new_row, summary_of
from safelight.db.job_rows import SUMMARY, complete
from safelight.db.tables import IS_QUEUED, job, job_payload, queue_depth

_OWNED = job.c.owner_id == bindparam("owner")
_ONE = select(*SUMMARY).where(_OWNED, job.c.id.in_((bindparam("id"), bindparam("own_id"))))
_EXISTS = select(job.c.seq).where(job.c.id == bindparam("id"))
_QUEUED = select(*SUMMARY).where(_OWNED, IS_QUEUED).order_by(job.c.number, job.c.seq)
_RUNNING = select(*SUMMARY).where(_OWNED, job.c.state == "running").order_by(job.c.seq)
_ACTIVE = select(
    select(func.coalesce(func.sum(queue_depth.c.queued), 0))
    .where(queue_depth.c.owner_id == bindparam("owner"))
    .scalar_subquery()
    + select(func.count()).where(_OWNED, job.c.state == "running").scalar_subquery()
)
_INSERT = insert(job)
_INSERT_PAYLOAD = insert(job_payload)
_REPLACE = update(job).where(
    job.c.owner_id == bindparam("was_owner"),
    job.c.id == bindparam("was_id"),
    job.c.state == bindparam("was_state"),
    job.c.attempt == bindparam("was_attempt"),
)


def add(
    conn: Connection,
    summary: JobSummary,
    *,
    prompt: Mapping[str, Any],
    targets: Sequence[str],
    extra_data: Mapping[str, Any],
) -> int:
    """Insert a job, and return its row's number."""
    result = conn.execute(_INSERT, {**new_row(summary), "duration_ms": 0, "device_s": 0.0})
    assert result.inserted_primary_key is not None
    payload = {"prompt": prompt, "targets": targets, "extra_data": extra_data}
    seq: int = result.inserted_primary_key[0]
    conn.execute(_INSERT_PAYLOAD, {"job_seq": seq, **payload})
    if summary.state is JobState.QUEUED:
        depths.change(conn, summary.queue_key, by=1)
    return seq


def is_taken(conn: Connection, job_id: JobId) -> bool:
    """Whether any owner has a job with that id. For choosing a free id; clients must never learn the result."""
    return conn.execute(_EXISTS, {"id": job_id}).first() is not None


def find(conn: Connection, owner_id: UserId, *, job_id: str) -> JobSummary | None:
    """The summary of the job that the owner knows by that id."""
    row = conn.execute(_ONE, _called(owner_id, job_id)).first()
    return summary_of(row) if row else None


def load(conn: Connection, owner_id: UserId, *, job_id: str) -> Job | None:
    """The whole job that the owner knows by that id."""
    return next(iter(complete(conn, conn.execute(_ONE, _called(owner_id, job_id)).all())), None)


def _called(owner_id: UserId, job_id: str) -> dict[str, str]:
    given, own = job_ids_shown_as(owner_id, job_id)
    return {"owner": owner_id, "id": given, "own_id": own}


def queued(conn: Connection, owner_id: UserId) -> list[Job]:
    """Queued jobs, in the order in which they will run."""
    return complete(conn, conn.execute(_QUEUED, {"owner": owner_id}).all())


def running(conn: Connection, owner_id: UserId) -> list[Job]:
    return complete(conn, conn.execute(_RUNNING, {"owner": owner_id}).all())


def running_summaries(conn: Connection, owner_id: UserId) -> list[JobSummary]:
    return [summary_of(row) for row in conn.execute(_RUNNING, {"owner": owner_id})]


def count_active(conn: Connection, owner_id: UserId) -> int:
    return int(conn.execute(_ACTIVE, {"owner": owner_id}).scalar_one())


def history(conn: Connection, owner_id: UserId, *, page: PageRequest | None, newest_first: bool) -> list[Job]:
    """Jobs that have ended, in the order in which they ended."""
    order = (job.c.ended_at, job.c.seq)
    query = select(*SUMMARY).where(_OWNED, job.c.ended_at.is_not(None))
    query = query.order_by(*(column.desc() if newest_first else column for column in order))
    if page is not None:
        query = query.limit(page.limit).offset(page.offset)
    return complete(conn, conn.execute(query, {"owner": owner_id}).all())


def replace(conn: Connection, before: JobSummary, after: JobSummary, **more: Any) -> bool:
    """Compare and set: write ``after`` if the row still has the state and attempt of ``before``. Returns whether it
    had."""
    values = {
        "was_owner": before.owner_id,
        "was_id": before.id,
        "was_state": before.state.value,
        "was_attempt": before.attempt,
        **changed_row(after),
        "duration_ms": _duration_ms(after),
        **more,
    }
    if conn.execute(_REPLACE, values).rowcount != 1:
        return False
    if change := (after.state is JobState.QUEUED) - (before.state is JobState.QUEUED):
        depths.change(conn, before.queue_key, by=change)
    return True


def cancel_queued(conn: Connection, owner_id: UserId, *, job_ids: Collection[str], now: datetime) -> list[JobSummary]:
    """Cancel those of ``job_ids`` that are still queued. Returns them as they are now."""
    statement = _cancel(owner_id, now)
    some_ids = batches(sorted({j for job_id in job_ids for j in job_ids_shown_as(owner_id, job_id)}))
    rows = [row for ids in some_ids for row in conn.execute(statement.where(job.c.id.in_(ids)))]
    return _no_longer_queued(conn, rows)


def cancel_all_queued(conn: Connection, owner_id: UserId, *, at_most: int, now: datetime) -> list[JobSummary]:
    """Cancel up to ``at_most`` jobs that are queued and were created by ``now``. Returns them as they are now."""
    waiting = select(job.c.seq).where(job.c.owner_id == owner_id, IS_QUEUED, job.c.created_at <= now).limit(at_most)
    rows = conn.execute(_cancel(owner_id, now).where(_is_one_of(waiting))).all()
    return _no_longer_queued(conn, rows)


def forget(conn: Connection, owner_id: UserId, *, job_ids: Collection[str]) -> list[JobSummary]:
    """Delete those of ``job_ids`` that have ended. Returns them as they were."""
    statement = delete(job).where(job.c.owner_id == owner_id, job.c.state.in_([s.value for s in TERMINAL]))
    statement_r = statement.returning(*SUMMARY)
    some_ids = batches(sorted({j for job_id in job_ids for j in job_ids_shown_as(owner_id, job_id)}))
    return [summary_of(row) for ids in some_ids for row in conn.execute(statement_r.where(job.c.id.in_(ids)))]


def forget_all(conn: Connection, owner_id: UserId, *, at_most: int, now: datetime) -> list[JobSummary]:
    """Delete up to ``at_most`` jobs that had ended by ``now``. Returns them as they were."""
    ended = select(job.c.seq).where(job.c.owner_id == owner_id, job.c.ended_at <= now).limit(at_most)
    statement = delete(job).where(job.c.owner_id == owner_id, _is_one_of(ended))
    return [summary_of(row) for row in conn.execute(statement.returning(*SUMMARY))]


def _cancel(owner_id: UserId, now: datetime) -> ReturningUpdate[Any]:
    return (
        update(job)
        .where(job.c.owner_id == owner_id, IS_QUEUED)
        .values(state=JobState.CANCELLED.value, ended_at=now, updated_at=now, cancel_requested=True)
        .returning(*SUMMARY)
    )


def _no_longer_queued(conn: Connection, rows: Sequence[Row[Any]]) -> list[JobSummary]:
    summaries = [summary_of(row) for row in rows]
    for key, count in Counter(summary.queue_key for summary in summaries).items():
        depths.change(conn, key, by=-count)
    return summaries


def _is_one_of(some: Select[Any]) -> ColumnElement[bool]:
    return job.c.seq.in_(some.correlate(None))


def _duration_ms(summary: JobSummary) -> int:
    if summary.started_at is None or summary.ended_at is None:
        return 0
    return max(0, int((summary.ended_at - summary.started_at).total_seconds() * 1000))
