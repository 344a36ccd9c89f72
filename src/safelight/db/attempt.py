"""Rows of jobs as the dispatcher sees them: the queues of all users, and the outputs and timeline of an attempt."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from safelight.core.engine_kind import as_text
from safelight.core.event import NodeCall
from safelight.core.ids import JobId, UserId
from safelight.core.job import Job, JobSummary
from safelight.core.output import Output
from safelight.core.pool import QueueKey
from safelight.db.job_columns import summary_of
from safelight.db.job_rows import SUMMARY, call_fields
from safelight.db.tables import IS_QUEUED, IS_RUNNING, job, job_media, job_output, job_payload, job_timeline

_HEAD = (
    select(*SUMMARY)
    .where(
        job.c.owner_id == bindparam("owner"),
        job.c.pool == bindparam("of_pool"),
        job.c.engines == bindparam("on"),
        IS_QUEUED,
    )
    .order_by(job.c.number, job.c.seq)
    .limit(2)
)
_ONE = select(*SUMMARY).where(job.c.id == bindparam("id"))
_PAYLOAD = (
    select(job_payload.c.prompt, job_payload.c.targets, job_payload.c.extra_data)
    .join_from(job, job_payload, job_payload.c.job_seq == job.c.seq)
    .where(job.c.id == bindparam("id"))
)
_RUNNING = select(*SUMMARY).where(IS_RUNNING).order_by(job.c.seq)
_ENDED_SINCE = select(*SUMMARY).where(job.c.ended_at >= bindparam("since")).order_by(job.c.ended_at, job.c.seq)
_OF_ATTEMPT = (job_output.c.job_seq == bindparam("job"), job_output.c.attempt == bindparam("of"))
_OUTPUTS = select(job_output.c.call, job_output.c.ui).where(*_OF_ATTEMPT).order_by(job_output.c.position)
_COUNT = select(func.count()).select_from(job_output).where(*_OF_ATTEMPT)
_INSERT_OUTPUT = insert(job_output)
_INSERT_TIMELINE = insert(job_timeline)
_INSERT_MEDIA = insert(job_media)
_DROP_OUTPUTS = delete(job_output).where(*_OF_ATTEMPT)


def head(conn: Connection, key: QueueKey) -> tuple[JobSummary, bool] | None:
    """The next job of a queue, and whether there is another behind it; ``None`` if it is empty."""
    rows = conn.execute(_HEAD, {"owner": key.owner_id, "of_pool": key.pool, "on": as_text(key.engines)}).all()
    return (summary_of(rows[0]), len(rows) > 1) if rows else None


def load(conn: Connection, summary: JobSummary) -> Job:
    """The whole job, which must exist and must not have ended."""
    row = conn.execute(_PAYLOAD, {"id": summary.id}).one()
    return Job(summary, prompt=row.prompt, targets=row.targets, extra_data=row.extra_data)


def ended_since(conn: Connection, since: datetime) -> list[JobSummary]:
    """The jobs of all users that have ended since then, in the order in which they ended."""
    return [summary_of(row) for row in conn.execute(_ENDED_SINCE, {"since": since})]


def running(conn: Connection) -> list[JobSummary]:
    return [summary_of(row) for row in conn.execute(_RUNNING)]


def find(conn: Connection, job_id: JobId) -> tuple[int, JobSummary] | None:
    """The job and its row's number."""
    row = conn.execute(_ONE, {"id": job_id}).one_or_none()
    return (row.seq, summary_of(row)) if row else None


def count_outputs(conn: Connection, seq: int, *, attempt: int) -> int:
    return conn.execute(_COUNT, {"job": seq, "of": attempt}).scalar_one()


def add_outputs(conn: Connection, seq: int, *, attempt: int, outputs: Sequence[Output], start: int) -> None:
    """Append outputs to the ``start`` ones that the attempt has made so far."""
    rows = [
        {"job_seq": seq, "attempt": attempt, "position": position, "call": call_fields(call), "ui": ui}
        for position, (call, ui) in enumerate(outputs, start)
    ]
    if rows:
        conn.execute(_INSERT_OUTPUT, rows)


def outputs(conn: Connection, seq: int, *, attempt: int) -> list[Output]:
    return [(NodeCall(*call), ui) for call, ui in conn.execute(_OUTPUTS, {"job": seq, "of": attempt})]


def drop_outputs(conn: Connection, seq: int, *, attempt: int) -> None:
    conn.execute(_DROP_OUTPUTS, {"job": seq, "of": attempt})


def add_timeline(conn: Connection, seq: int, *, messages: Sequence[tuple[str, Any]]) -> None:
    conn.execute(_INSERT_TIMELINE, {"job_seq": seq, "messages": messages})


def add_media(conn: Connection, seq: int, *, owner_id: UserId, kinds: Collection[str]) -> None:
    if kinds:
        conn.execute(_INSERT_MEDIA, [{"owner_id": owner_id, "kind": kind, "job_seq": seq} for kind in sorted(kinds)])
