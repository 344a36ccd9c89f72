"""``/api/admin/jobs``: the jobs of all users, for administrators: what waits, runs and has ended, and ending it.

A job shows its owner, its node types, its times and its error. It shows none of the user's texts and files.
"""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.comfy.job_json import STATUS
from safelight.api.contract import Parameter
from safelight.api.responses import json_response
from safelight.core.clock import to_ms
from safelight.core.ids import JobId, UserId
from safelight.core.job import JobSummary
from safelight.core.paging import PageRequest
from safelight.services import every_job as jobs

LIST_PARAMETERS = (
    Parameter("status", enum=tuple(jobs.LISTS), default="running"),
    Parameter("limit", type="integer", minimum=1, maximum=1000, default=100),
    Parameter("offset", type="integer", minimum=0, default=0),
)


async def list_jobs(app: App, request: ApiRequest) -> Response:
    who, kind = request.who, request.params["status"]
    page_request = PageRequest(limit=request.params["limit"], offset=request.params["offset"])
    listed = await app.db.read(lambda tx: jobs.list(tx, who, kind=kind, request=page_request))
    shown = [_entry(job, name=listed.names.get(job.owner_id, "")) for job in listed.jobs]
    pagination = {"limit": page_request.limit, "offset": page_request.offset, "has_more": listed.has_more}
    return json_response({"jobs": shown, "pagination": pagination})


async def get_job(app: App, request: ApiRequest) -> Response:
    who, owner_id, job_id = request.who, *_named(request)
    job = await app.db.read(lambda tx: jobs.get(tx, who, owner_id=owner_id, job_id=job_id))
    types = {str(node.get("class_type", "")) for node in job.prompt.values() if isinstance(node, Mapping)}
    return json_response(_entry(job.summary) | {"node_types": sorted(types)})


async def cancel_job(app: App, request: ApiRequest) -> Response:
    who, (owner_id, job_id), now = request.who, _named(request), app.clock.now()
    cancelled = await app.db.write(lambda tx: jobs.cancel(tx, who, owner_id=owner_id, job_id=job_id, now=now))
    return json_response({"cancelled": cancelled})


async def delete_job(app: App, request: ApiRequest) -> Response:
    who, (owner_id, job_id), now = request.who, _named(request), app.clock.now()
    await app.db.write(lambda tx: jobs.delete(tx, who, owner_id=owner_id, job_id=job_id, now=now))
    return json_response({"deleted": True})


def _named(request: ApiRequest) -> tuple[UserId, JobId]:
    return UserId(request.params["user_id"]), JobId(request.params["job_id"])


def _entry(job: JobSummary, *, name: str | None = None) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": job.id,
        "user": job.owner_id,
        "status": STATUS[job.state],
        "attempt": job.attempt,
        "pool": job.pool,
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
