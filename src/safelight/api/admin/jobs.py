"""``/api/admin/jobs``: the jobs of all users, for administrators: list, cancel and delete them.

A job shows its owner, node types, times, error and log, and none of the user's graphs and files.
"""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.comfy.job_json import STATUS
from safelight.api.contract import Parameter
from safelight.api.handler import on_leader, reads, writes
from safelight.api.responses import json_response
from safelight.core.clock import to_ms
from safelight.core.ids import JobId, UserId
from safelight.core.job import JobSummary
from safelight.core.paging import PageRequest
from safelight.db.transaction import Transaction
from safelight.services import all_jobs as jobs
from safelight.services import job_log

LIST_PARAMETERS = (
    Parameter("status", enum=tuple(jobs.LISTS), default="running"),
    Parameter("limit", type="integer", minimum=1, maximum=1000, default=100),
    Parameter("offset", type="integer", minimum=0, default=0),
)


@reads
def list_jobs(tx: Transaction, request: ApiRequest) -> Any:
    page_request = PageRequest(limit=request.params["limit"], offset=request.params["offset"])
    listed = jobs.list(tx, request.who, kind=request.params["status"], request=page_request)
    shown = [_entry(job, name=listed.names.get(job.owner_id, "")) for job in listed.jobs]
    pagination = {"limit": page_request.limit, "offset": page_request.offset, "has_more": listed.has_more}
    return {"jobs": shown, "pagination": pagination}


@reads
def get_job(tx: Transaction, request: ApiRequest) -> Any:
    owner_id, job_id = _named(request)
    job = jobs.get(tx, request.who, owner_id=owner_id, job_id=job_id)
    types = {str(node.get("class_type", "")) for node in job.prompt.values() if isinstance(node, Mapping)}
    return _entry(job.summary) | {"node_types": sorted(types)}


@on_leader
async def get_job_logs(app: App, request: ApiRequest) -> Response:
    """What the job's nodes printed, which may quote the user's texts, and how it ended."""
    who, (owner_id, job_id) = request.who, _named(request)
    await app.job_logs.keep_all()
    log = await app.db.read(lambda tx: job_log.read_any(tx, who, owner_id=owner_id, job_id=job_id))
    entries = [{"t": to_ms(at), "m": text} for at, text in log.lines]
    return json_response({"entries": entries, "truncated": log.is_truncated})


@writes
def cancel_job(tx: Transaction, request: ApiRequest) -> Any:
    owner_id, job_id = _named(request)
    return {"cancelled": jobs.cancel(tx, request.who, owner_id=owner_id, job_id=job_id, now=request.now)}


@writes
def delete_job(tx: Transaction, request: ApiRequest) -> Any:
    owner_id, job_id = _named(request)
    jobs.delete(tx, request.who, owner_id=owner_id, job_id=job_id, now=request.now)
    return {"deleted": True}


@writes(status=201)
def retry_job(tx: Transaction, request: ApiRequest) -> Any:
    owner_id, job_id = _named(request)
    return _entry(jobs.retry(tx, request.who, owner_id=owner_id, job_id=job_id, now=request.now))


@writes
def job_to_front(tx: Transaction, request: ApiRequest) -> Any:
    owner_id, job_id = _named(request)
    jobs.to_front(tx, request.who, owner_id=owner_id, job_id=job_id, now=request.now)
    return {"first": True}


def _named(request: ApiRequest) -> tuple[UserId, JobId]:
    return UserId(request.params["user_id"]), JobId(request.params["job_id"])


def _entry(job: JobSummary, *, name: str | None = None) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": job.id,
        "user": job.owner_id,
        "status": STATUS[job.state],
        "attempt": job.attempt,
        "pool": job.pool,
        "engines": sorted(job.engines),
        "models": job.models,
        "cancel_requested": job.cancel_requested,
        "create_time": to_ms(job.created_at),
        "execution_start_time": to_ms(job.started_at) if job.started_at else None,
        "execution_end_time": to_ms(job.ended_at) if job.ended_at else None,
        "error": None,
    }
    if name is not None:
        shown["user_name"] = name
    if (error := job.error) is not None:
        shown["error"] = {
            "type": error.exception_type,
            "message": error.exception_message,
            "node_id": error.node_id,
            "node_type": error.node_type,
            "traceback": error.traceback,
        }
    return shown
