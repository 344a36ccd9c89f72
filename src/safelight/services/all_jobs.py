"""What an administrator may do with the jobs of all users: list, cancel and delete them.

A job is identified by its owner and its id. An administrator sees its owner, nodes, times and end, but neither its
texts nor its files.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from safelight.core.errors import Conflict, Forbidden
from safelight.core.ids import JobId, UserId
from safelight.core.job import Job, JobState, JobSummary
from safelight.core.paging import PageRequest
from safelight.core.pool import Pool
from safelight.core.user import Principal
from safelight.db import all_jobs as rows
from safelight.db.transaction import Transaction
from safelight.services import audit
from safelight.services import job as jobs
from safelight.services.job import SubmitJob
from safelight.services.placement import Placement

LISTS: Mapping[str, Callable[..., list[JobSummary]]] = {
    "queued": rows.queued,
    "running": rows.running,
    "ended": rows.ended,
}


def oldest_queued(tx: Transaction) -> Mapping[Pool, datetime]:
    """When the oldest queued job of each pool was submitted."""
    return rows.oldest_queued(tx.conn)


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
    """Cancel a job as its owner would. False where it has ended or is being cancelled already."""
    _require_admin(who)
    is_new = jobs.cancel(tx, Principal(owner_id), job_id=job_id, now=now)
    audit.write(tx, who, action="job.cancel", subject=job_id, details={"user": owner_id}, now=now)
    return is_new


def delete(tx: Transaction, who: Principal, *, owner_id: UserId, job_id: JobId, now: datetime) -> None:
    """Remove a job from the queue or the history; its files stay. Raises :class:`Conflict` while it runs."""
    _require_admin(who)
    owner = Principal(owner_id)
    job = jobs.get(tx, owner, job_id=job_id)
    if job.summary.state is JobState.RUNNING:
        raise Conflict(f"job {job_id!r} is running; cancel it first")
    jobs.cancel_queued(tx, owner, job_ids=[job_id], now=now)
    jobs.forget(tx, owner, job_ids=[job_id], now=now)
    audit.write(tx, who, action="job.delete", subject=job_id, details={"user": owner_id}, now=now)


def retry(tx: Transaction, who: Principal, *, owner_id: UserId, job_id: JobId, now: datetime) -> JobSummary:
    """Queue an ended job again, as a new job of its owner: the same graph, within the owner's quotas. Raises
    :class:`Conflict` while it waits or runs."""
    _require_admin(who)
    owner = Principal(owner_id)
    job = jobs.get(tx, owner, job_id=job_id)
    if not job.summary.state.is_terminal:
        raise Conflict(f"job {job_id!r} has not ended")
    placement = Placement(pool=job.summary.pool, models=job.summary.models, engines=job.summary.engines)
    command = SubmitJob(
        prompt=job.prompt,
        targets=job.targets,
        extra_data=job.extra_data,
        workflow_id=job.summary.workflow_id,
        placement=placement,
        labels=job.summary.labels,
    )
    new = jobs.submit(tx, owner, command=command, now=now)
    audit.write(tx, who, action="job.retry", subject=job_id, details={"user": owner_id, "as": new.id}, now=now)
    return new


def to_front(tx: Transaction, who: Principal, *, owner_id: UserId, job_id: JobId, now: datetime) -> None:
    """Run a waiting job before its owner's other jobs; between users, fairness decides as before."""
    _require_admin(who)
    owner = Principal(owner_id)
    job = jobs.get(tx, owner, job_id=job_id)
    if not rows.to_front(tx.conn, owner_id, job_id=job.id):
        raise Conflict(f"job {job_id!r} does not wait")
    jobs.emit_queue_changed(tx, owner)
    audit.write(tx, who, action="job.front", subject=job_id, details={"user": owner_id}, now=now)


def _require_admin(who: Principal) -> None:
    if not who.is_admin:
        raise Forbidden("only administrators may see the jobs of all users")
