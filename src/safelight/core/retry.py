"""The retry rule of jobs: what happens to a job whose attempt ended without a result.

An attempt that was lost with its worker costs the job a retry; one that the server gave up in good order does not.
A job whose owner had asked to cancel it is cancelled either way: cancel always ends a job.
"""

from dataclasses import replace
from datetime import datetime

from safelight.core.errors import Conflict
from safelight.core.job import Fence, JobError, JobState, JobSummary, finish

MAX_ATTEMPTS = 2
"""A lost worker costs a job one retry; if its second worker is lost too, the job fails with a reason."""


def has_retry(job: JobSummary) -> bool:
    """Whether the job runs again if its current attempt is lost."""
    return job.tries < MAX_ATTEMPTS


def fail_attempt(
    job: JobSummary, fence: Fence, now: datetime, reason: str, *, node_id: str = "", node_type: str = ""
) -> JobSummary:
    """The worker of this attempt is lost: the job is requeued, or fails if it has no retry left.

    ``node_id`` and ``node_type``: of the node that was running, which may have ended its worker. Raises
    :class:`Conflict` for an outdated fence.
    """
    if job.cancel_requested:
        return finish(job, fence, JobState.CANCELLED, now)
    if not has_retry(job):
        where = f" while node {node_id} ({node_type}) ran" if node_id else ""
        message = f"{reason}{where} (attempt {job.tries} of {MAX_ATTEMPTS})"
        error = JobError("WorkerLost", message, node_id=node_id, node_type=node_type)
        return finish(job, fence, JobState.FAILED, now, error)
    return _requeued(job, fence, now, releases=job.releases)


def requeue(job: JobSummary, fence: Fence, now: datetime) -> JobSummary:
    """The server gives the attempt up in good order, which is not the job's fault: it can happen any number of times.

    Raises :class:`Conflict` for an outdated fence.
    """
    if job.cancel_requested:
        return finish(job, fence, JobState.CANCELLED, now)
    return _requeued(job, fence, now, releases=job.releases + 1)


def detach(job: JobSummary, now: datetime) -> JobSummary:
    """The server stops, and its attempt keeps running. If the attempt is lost before another server has reattached to
    it, that is not the job's fault."""
    return replace(job, updated_at=now, releases=job.releases + 1)


def _requeued(job: JobSummary, fence: Fence, now: datetime, *, releases: int) -> JobSummary:
    if job.state is not JobState.RUNNING or fence != Fence(job.id, job.attempt):
        raise Conflict(f"job {job.id} is {job.state} under attempt {job.attempt}: attempt {fence.attempt} is outdated")
    return replace(job, state=JobState.QUEUED, started_at=None, updated_at=now, releases=releases)
