"""A batch as JSON, and its jobs."""

from datetime import datetime
from typing import Any
from urllib.parse import quote

from starlette.requests import Request

from safelight.api.v2.asset_json import output_json
from safelight.api.v2.job_json import error_json, status_of
from safelight.services.batch import BatchJob, BatchView


def batch_json(view: BatchView, request: Request) -> dict[str, Any]:
    batch = view.batch
    own = f"{request.scope.get('root_path', '')}/api/v2/batches/{quote(batch.id, safe='')}"
    return {
        "id": batch.id,
        "status": batch_status(view),
        "created_at": batch.created_at,
        "ended_at": batch.ended_at,
        "total": batch.total,
        "counts": counts_json(view),
        "metadata": dict(batch.labels),
        "urls": {"self": own}
        | {name: f"{own}/{name}" for name in ("jobs", "events", "cancel")}
        | {"results": f"{own}/results.zip", "contact_sheet": f"{own}/contact-sheet.png"},
    }


def counts_json(view: BatchView) -> dict[str, int]:
    batch = view.batch
    return {
        "queued": view.waiting,
        "running": view.running,
        "succeeded": batch.succeeded,
        "failed": batch.failed,
        "canceled": batch.cancelled,
    }


def batch_status(view: BatchView) -> str:
    """``succeeded`` only if every job has succeeded."""
    batch = view.batch
    if batch.ended_at is None:
        return "canceling" if batch.cancel_requested else "running" if batch.ended or view.running else "queued"
    return "failed" if batch.failed else "canceled" if batch.cancelled else "succeeded"


def batch_job_json(made: BatchJob, request: Request, *, now: datetime) -> dict[str, Any]:
    job = made.job
    return {
        "index": made.index,
        "id": job.shown_id,
        "status": status_of(job),
        "values": made.values,
        "outputs": [output_json(file, request, job_id=job.shown_id, now=now) for file in made.files],
        "error": None if job.error is None else error_json(job.error),
    }
