"""What an administrator may do with any user's jobs: look at them, cancel and delete them.

A job is named by its owner and its id. What users wrote and made stays theirs: a job shows who runs which nodes, for
how long and how it ended, and neither its texts nor its files.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from safelight.core.errors import Conflict, Forbidden
from safelight.core.ids import JobId, UserId
from safelight.core.job import Job, JobState, JobSummary
from safelight.core.paging import PageRequest
from safelight.core.user import Principal
from safelight.db import every_job as rows
from safelight.db.transaction import Transaction
from safelight.services import job as jobs

LISTS: Mapping[str, Callable[..., list[JobSummary]]] = {
    "queued": rows.queued,
    "running": rows.running,
    "ended": rows.ended,
}


@dataclass(frozen=True, slots=True)
class Listed:
    """``names``: of the jobs' owners."""

    jobs: Sequence[JobSummary]
    names: Mapping[UserId, str]
    has_more: bool


def list(tx: Transaction, who: Principal, *, kind: str, request: PageRequest) -> Listed:
    """``kind``: one of :data:`LISTS`. Raises :class:`Forbidden`."""
    _require_admin(who)
    found = LISTS[kind](tx.conn, PageRequest(limit=request.limit + 1, offset=request.offset))
    page = found[: request.limit]
    return Listed(page, rows.names(tx.conn, [job.owner_id for job in page]), len(found) > len(page))


def get(tx: Transaction, who: Principal, *, owner_id: UserId, job_id: JobId) -> Job:
    """Raises :class:`Forbidden` and :class:`NotFound`."""
    _require_admin(who)
    return jobs.get(tx, Principal(owner_id), job_id=job_id)


def cancel(tx: Transaction, who: Principal, *, owner_id: UserId, job_id: JobId, now: datetime) -> bool:
    """As its owner would. False where it has ended or was asked before."""
    _require_admin(who)
    return jobs.cancel(tx, Principal(owner_id), job_id=job_id, now=now)


def delete(tx: Transaction, who: Principal, *, owner_id: UserId, job_id: JobId, now: datetime) -> None:
    """Remove it from the queue or from the history; its files stay. Raises :class:`Conflict` while it runs."""
    _require_admin(who)
    owner = Principal(owner_id)
    job = jobs.get(tx, owner, job_id=job_id)
    if job.summary.state is JobState.RUNNING:
        raise Conflict(f"job {job_id!r} is running; cancel it first")
    jobs.cancel_queued(tx, owner, job_ids=[job_id], now=now)
    jobs.forget(tx, owner, job_ids=[job_id], now=now)


def _require_admin(who: Principal) -> None:
    if not who.is_admin:
        raise Forbidden("the jobs of all users are for administrators")
