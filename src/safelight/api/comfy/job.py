"""``/api/jobs``: the caller's jobs, in pages and one by one, and cancelling them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.comfy.job_json import STATE, detail, entry, status
from safelight.api.handler import reads, writes
from safelight.api.request_body import InvalidBody
from safelight.api.responses import encode_json, json_response
from safelight.core.errors import Invalid, NotFound
from safelight.core.job import TERMINAL, JobState, JobSummary
from safelight.core.paging import Page, PageRequest
from safelight.core.user import Principal
from safelight.db.engine import Transaction
from safelight.services import job as jobs

MAX_CANCELLED_AT_ONCE = 1000
_SORT_KEYS = {"create_time": "created_at", "execution_time": "execution_duration"}


async def list_jobs(app: App, request: ApiRequest) -> Response:
    who, query = request.who, _ListQuery.of(request.params)

    async def read() -> bytes:
        return encode_json(_shown(await app.db.read(lambda tx: query.page(tx, who))))

    body = await app.job_lists.get(who.user_id, query, read)
    return Response(body, media_type="application/json")


@dataclass(frozen=True, slots=True)
class _ListQuery:
    states: frozenset[JobState]
    workflow_id: str | None
    output_type: str | None
    sort_by: str
    descending: bool
    request: PageRequest

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> "_ListQuery":
        return cls(
            states=_states(params["status"]),
            workflow_id=params["workflow_id"],
            output_type=params["output_type"],
            sort_by=_SORT_KEYS[params["sort_by"]],
            descending=params["sort_order"] == "desc",
            request=PageRequest(limit=params["limit"], offset=params["offset"]),
        )

    def page(self, tx: Transaction, who: Principal) -> Page[JobSummary]:
        return jobs.list(
            tx,
            who,
            states=self.states,
            workflow_id=self.workflow_id,
            output_type=self.output_type,
            has_begun=self.states == TERMINAL,  # the web UI's history (HTTP-5)
            sort_by=self.sort_by,
            descending=self.descending,
            page=self.request,
        )


def _shown(page: Page[JobSummary]) -> dict[str, Any]:
    pagination = {
        "offset": page.request.offset,
        "limit": page.request.limit,
        "total": page.total,
        "has_more": page.has_more,
    }
    return {"jobs": [entry(job) for job in page.items], "pagination": pagination}


@reads
def get_job_detail(tx: Transaction, request: ApiRequest) -> Any:
    return detail(jobs.get(tx, request.who, job_id=request.params["job_id"]))


@reads
def get_job_status(tx: Transaction, request: ApiRequest) -> Any:
    job = jobs.get(tx, request.who, job_id=request.params["job_id"])
    return status(job.summary, dialect=request.settings.server.job_status_dialect)


@writes
def cancel_job(tx: Transaction, request: ApiRequest) -> Any:
    return {"cancelled": jobs.cancel(tx, request.who, job_id=request.params["job_id"], now=request.now)}


async def cancel_jobs(app: App, request: ApiRequest) -> Response:
    """``POST /api/jobs/cancel`` of the web UI: ids of unknown and finished jobs are ignored."""
    who, now = request.who, request.now
    body = await request.read_json(limit=app.settings.limits.max_body_bytes)
    ids = body.get("job_ids") if isinstance(body, dict) else None
    if not isinstance(ids, list) or not all(isinstance(i, str) for i in ids) or len(ids) > MAX_CANCELLED_AT_ONCE:
        raise InvalidBody(f"'job_ids' must be a list of at most {MAX_CANCELLED_AT_ONCE} ids")

    def cancel(tx: Transaction) -> list[str]:
        return [job_id for job_id in ids if _cancels(tx, job_id)]

    def _cancels(tx: Transaction, job_id: str) -> bool:
        try:
            return jobs.cancel(tx, who, job_id=job_id, now=now)
        except NotFound:
            return False

    return json_response({"cancelled": await app.db.write(cancel)})


async def interrupt_job(app: App, request: ApiRequest) -> Response:
    """Interrupt the caller's running jobs: the one that the body names, else all. No match is not an error."""
    who, now = request.who, request.now
    body = await request.read_json(limit=app.settings.limits.max_body_bytes)
    job_id = body.get("prompt_id") if isinstance(body, dict) else None
    wanted = None if job_id is None else str(job_id)
    await app.db.write(lambda tx: jobs.interrupt(tx, who, job_id=wanted, now=now))
    return json_response({})


def _states(text: str | None) -> frozenset[JobState]:
    """The states of a filter; all where it is absent or empty."""
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    unknown = [name for name in names if name not in STATE]
    if unknown:
        raise Invalid(f"there is no job status {', '.join(unknown)}; valid are: {', '.join(STATE)}")
    return frozenset(STATE[name] for name in names) or frozenset(JobState)
