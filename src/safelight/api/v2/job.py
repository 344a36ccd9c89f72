"""``/api/v2/jobs``: the caller's jobs, one by one and in pages, their graphs and logs, and cancelling them."""

from typing import Any

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.handler import on_leader, reads
from safelight.api.responses import json_response
from safelight.api.v2.cursor import read_cursor, write_cursor
from safelight.api.v2.estimate import job_metrics
from safelight.api.v2.job_json import entry_json, job_json
from safelight.core.clock import whole_ms
from safelight.core.job import JobSummary
from safelight.core.job_label import check_label_filter
from safelight.db.transaction import Transaction
from safelight.services import job as jobs
from safelight.services import job_log, job_view
from safelight.services.log import error_lines

PAGE, LARGEST_PAGE = 50, 1000


@reads
def list_jobs(tx: Transaction, request: ApiRequest) -> Any:
    params = request.params
    before = None if params["cursor"] is None else read_cursor(params["cursor"], kind="jobs")
    limit = min(params["limit"] or PAGE, LARGEST_PAGE)
    labels = check_label_filter(params["metadata"])
    page = job_view.labelled(tx, request.who, labels=labels, before=before, limit=limit)
    shown: dict[str, Any] = {"jobs": [entry_json(job) for job in page.jobs]}
    return shown if page.next_before is None else shown | {"next_cursor": write_cursor(page.next_before, kind="jobs")}


async def get_job(app: App, request: ApiRequest) -> Response:
    return await _answer(app, request)


@reads
def get_job_workflow(tx: Transaction, request: ApiRequest) -> Any:
    return {"workflow": job_view.prompt(tx, request.who, job_id=request.params["id"]), "format": "api"}


@on_leader
async def get_job_logs(app: App, request: ApiRequest) -> Response:
    """The log lines that are kept of the job; else the error of a failed job. 204 where there is neither."""
    await app.job_logs.keep_all()
    who, job_id = request.who, request.params["id"]
    job = (await app.db.read(lambda tx: job_view.view(tx, who, job_id=job_id))).summary
    log = await app.db.read(lambda tx: job_log.read(tx, who, job_id=job_id))
    text, is_truncated = ("", False) if log is None else (log.text, log.is_truncated)
    if not text and job.error is not None:
        text = "\n".join(error_lines(job.error)) + "\n"
    if not text:
        return Response(status_code=204)
    content = {
        "text": text,
        "truncated": is_truncated,
        "captured_at": whole_ms(app.clock.now()),
        "complete": job.state.is_terminal and log is not None and not is_truncated,
    }
    return json_response(content)


async def cancel_job(app: App, request: ApiRequest) -> Response:
    """The job as it is now: being cancelled, or ended already."""
    who, job_id, now = request.who, request.params["id"], request.now
    await app.db.write(lambda tx: jobs.cancel(tx, who, job_id=job_id, now=now))
    return await _answer(app, request)


async def _answer(app: App, request: ApiRequest) -> Response:
    who, job_id = request.who, request.params["id"]
    view = await app.db.read(lambda tx: job_view.view(tx, who, job_id=job_id))
    progress = _progress(app, view.summary)
    metrics = await job_metrics(app, who, view)
    return json_response(job_json(view, request.http, progress=progress, metrics=metrics, now=app.clock.now()))


def _progress(app: App, job: JobSummary) -> Any:
    return app.streams.progress.of(job.id, nodes=job.node_count) if not job.state.is_terminal else None
