"""A job as JSON: in full, and as an entry of a list."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from starlette.requests import Request

from safelight.api.v2.asset_json import output_json
from safelight.api.v2.progress import Progress, progress_json
from safelight.core.job import JobError, JobState, JobSummary
from safelight.services.job_view import JobView

NEVER = datetime(9999, 1, 1, tzinfo=UTC)
"""``expires_at`` of every job: jobs are kept until their owner deletes them, and the contract requires a time."""

_STATUS: Mapping[JobState, str] = {
    JobState.QUEUED: "queued",
    JobState.RUNNING: "running",
    JobState.COMPLETED: "succeeded",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "canceled",
}


def job_json(
    view: JobView,
    request: Request,
    *,
    progress: Progress | None = None,
    classes: Mapping[str, str] | None = None,
    metrics: Mapping[str, int | None] | None = None,
    now: datetime,
) -> dict[str, Any]:
    job = view.summary
    return {
        "id": job.shown_id,
        "status": status_of(job),
        "created_at": job.created_at,
        "started_at": job.started_at,
        "completed_at": job.ended_at,
        "expires_at": NEVER,
        "queue_position": view.ahead,
        "progress": None if progress is None else progress_json(progress, classes or {}),
        "outputs": outputs_json(view, request, now=now),
        "error": None if job.error is None else error_json(job.error),
        "metrics": {**_metrics(job), **(metrics or {})},
        "urls": _urls(job, request),
        "metadata": dict(job.labels),
    }


def outputs_json(view: JobView, request: Request, *, now: datetime) -> Sequence[dict[str, Any]]:
    return [output_json(made, request, job_id=view.summary.shown_id, now=now) for made in view.files]


def entry_json(job: JobSummary) -> dict[str, Any]:
    """``JobSummary`` of the contract, whose times have other names than a job's."""
    return {
        "id": job.shown_id,
        "status": status_of(job),
        "create_time": job.created_at,
        "update_time": job.updated_at,
        "metadata": dict(job.labels),
    }


def status_of(job: JobSummary) -> str:
    return "canceling" if job.state is JobState.RUNNING and job.cancel_requested else _STATUS[job.state]


def error_json(error: JobError) -> dict[str, Any]:
    code = "worker_lost" if error.exception_type == "WorkerLost" else "execution_error"
    return {
        "code": "node_execution_error" if error.node_id and code != "worker_lost" else code,
        "message": error.exception_message.strip() or error.exception_type,
        "node_id": error.node_id or None,
        "class_type": error.node_type or None,
        "traceback": "".join(error.traceback) or None,
    }


def _metrics(job: JobSummary) -> dict[str, int | None]:
    start, end = job.started_at, job.ended_at
    return {
        "queue_ms": None if start is None else _ms(job.created_at, start),
        "execution_ms": None if start is None or end is None else _ms(start, end),
    }


def _ms(start: datetime, end: datetime) -> int:
    return max(0, int((end - start).total_seconds() * 1000))


def _urls(job: JobSummary, request: Request) -> dict[str, str]:
    own = f"{request.scope.get('root_path', '')}/api/v2/jobs/{quote(job.shown_id, safe='')}"
    return {"self": own, "events": f"{own}/events", "cancel": f"{own}/cancel", "logs": f"{own}/logs"}
