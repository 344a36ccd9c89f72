"""Rows of batches, and the jobs of a batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, func, insert, select, update

from safelight.core.batch import Batch, BatchId
from safelight.core.ids import UserId
from safelight.core.job import JobSummary
from safelight.db.job_columns import summary_of
from safelight.db.job_rows import SUMMARY
from safelight.db.tables import IS_BATCH_OPEN, IS_QUEUED, IS_RUNNING, job
from safelight.db.tables import batch as table

_COLUMNS: tuple[ColumnElement[Any], ...] = (
    table.c.seq,
    table.c.id,
    table.c.owner_id,
    table.c.created_at,
    table.c.total,
    table.c.made,
    table.c.succeeded,
    table.c.failed,
    table.c.cancelled,
    table.c.cancel_requested,
    table.c.ended_at,
    table.c.labels,
)
_OWNED = table.c.owner_id == bindparam("owner")
_ONE = select(*_COLUMNS).where(_OWNED, table.c.id == bindparam("of_id"))
_NOT_MADE = select(*_COLUMNS).where(IS_BATCH_OPEN, table.c.made < table.c.total).order_by(table.c.seq)
_PLAN = select(table.c.plan).where(table.c.owner_id == bindparam("owner"), table.c.id == bindparam("of_id"))
_OF_BATCH = (job.c.owner_id == bindparam("owner"), job.c.batch_id == bindparam("of_id"))
_RUNNING = select(func.count()).where(*_OF_BATCH, IS_RUNNING)
_RUNNING_IDS = select(job.c.id).where(*_OF_BATCH, IS_RUNNING)
_QUEUED_IDS = select(job.c.id).where(*_OF_BATCH, IS_QUEUED).limit(bindparam("most"))
_JOBS = (
    select(*SUMMARY)
    .where(*_OF_BATCH, job.c.batch_index >= bindparam("from_index"))
    .order_by(job.c.batch_index)
    .limit(bindparam("most"))
)


@dataclass(frozen=True, slots=True)
class BatchPage:
    """``next_before``: where the next page begins; ``None`` after the last one."""

    batches: Sequence[Batch]
    next_before: int | None


def add(conn: Connection, owner_id: UserId, *, new: Batch, plan: Mapping[str, Any]) -> None:
    """``plan``: what its jobs are made of, as plain data."""
    conn.execute(
        insert(table).values(
            id=new.id,
            owner_id=owner_id,
            created_at=new.created_at,
            total=new.total,
            made=0,
            succeeded=0,
            failed=0,
            cancelled=0,
            cancel_requested=False,
            labels=dict(new.labels) or None,
            plan=plan,
        )
    )


def find(conn: Connection, owner_id: UserId, *, batch_id: BatchId) -> Batch | None:
    row = conn.execute(_ONE, {"owner": owner_id, "of_id": batch_id}).one_or_none()
    return _batch(row) if row else None


def page(conn: Connection, owner_id: UserId, *, before: int | None, limit: int) -> BatchPage:
    """The newest first."""
    query = select(*_COLUMNS).where(table.c.owner_id == owner_id)
    if before is not None:
        query = query.where(table.c.seq < before)
    rows = conn.execute(query.order_by(table.c.seq.desc()).limit(limit + 1)).all()
    more = rows[limit - 1].seq if len(rows) > limit else None
    return BatchPage([_batch(row) for row in rows[:limit]], more)


def plan_of(conn: Connection, owner_id: UserId, *, batch_id: BatchId) -> Mapping[str, Any]:
    plan: Mapping[str, Any] = conn.execute(_PLAN, {"owner": owner_id, "of_id": batch_id}).scalar_one()
    return plan


def not_made(conn: Connection) -> list[Batch]:
    """The batches of all users of which not all jobs have been made, oldest first."""
    return [_batch(row) for row in conn.execute(_NOT_MADE)]


def change(conn: Connection, owner_id: UserId, *, batch_id: BatchId, **values: Any) -> None:
    """Write columns of the batch; a value may be an expression of :data:`~safelight.db.tables.batch`."""
    conn.execute(update(table).where(table.c.owner_id == owner_id, table.c.id == batch_id).values(**values))


def count_end(conn: Connection, owner_id: UserId, *, batch_id: BatchId, outcome: str) -> None:
    """Add one to ``outcome``: the column ``succeeded``, ``failed`` or ``cancelled``."""
    change(conn, owner_id, batch_id=batch_id, **{outcome: table.c[outcome] + 1})


def open_of(conn: Connection, owner_id: UserId) -> list[Batch]:
    """The owner's batches that have not ended."""
    rows = conn.execute(select(*_COLUMNS).where(table.c.owner_id == owner_id, IS_BATCH_OPEN))
    return [_batch(row) for row in rows]


def count_running(conn: Connection, owner_id: UserId, *, batch_id: BatchId) -> int:
    return conn.execute(_RUNNING, {"owner": owner_id, "of_id": batch_id}).scalar_one()


def running_ids(conn: Connection, owner_id: UserId, *, batch_id: BatchId) -> list[str]:
    return list(conn.execute(_RUNNING_IDS, {"owner": owner_id, "of_id": batch_id}).scalars())


def queued_ids(conn: Connection, owner_id: UserId, *, batch_id: BatchId, limit: int) -> list[str]:
    return list(conn.execute(_QUEUED_IDS, {"owner": owner_id, "of_id": batch_id, "most": limit}).scalars())


def jobs(
    conn: Connection, owner_id: UserId, *, batch_id: BatchId, start: int, limit: int
) -> list[tuple[int, JobSummary]]:
    """Jobs of the batch from the index ``start`` on, each with its row's number."""
    values = {"owner": owner_id, "of_id": batch_id, "from_index": start, "most": limit}
    return [(row.seq, summary_of(row)) for row in conn.execute(_JOBS, values)]


def _batch(row: Row[Any]) -> Batch:
    fields = {name: value for name, value in row._mapping.items() if name not in ("seq", "labels")}
    return Batch(**fields, labels=row.labels or {})
