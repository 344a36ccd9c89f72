"""Jobs that are over, in the shapes of before ``/api/jobs``: the contract's ``history_v2``, ComfyUI's ``history``."""

from functools import partial
from typing import Any

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.comfy.job_ids import PIECE, in_pieces
from safelight.api.comfy.job_json import history_detail, history_entry, history_item
from safelight.api.responses import json_response
from safelight.core.errors import NotFound
from safelight.core.job import Job
from safelight.core.paging import PageRequest
from safelight.services import job as jobs

MOST = 10_000
"""Jobs of one answer, where the client sets no limit; ComfyUI keeps no more than these either."""


async def get_history(app: App, request: ApiRequest) -> Response:
    """The newest first."""
    who, params = request.who, request.params
    page = PageRequest(limit=_limit(params["max_items"]), offset=max(params["offset"], 0))
    found = await app.db.read(lambda tx: jobs.history(tx, who, page=page, newest_first=True))
    return json_response({"history": [history_entry(job) for job in found]})


async def get_history_for_prompt(app: App, request: ApiRequest) -> Response:
    job = await _ended(app, request)
    if job is None:
        raise NotFound(f"There is no finished job {request.params['prompt_id']!r}")
    return json_response({job.shown_id: history_detail(job)})


async def get_core_history(app: App, request: ApiRequest) -> Response:
    """``/history``: the oldest first. Without an offset ``max_items`` means the newest ones."""
    who, params = request.who, request.params
    limit, offset = _limit(params["max_items"]), params["offset"]
    from_start = offset is not None and offset >= 0
    page = PageRequest(limit=limit, offset=offset if from_start else 0)
    found = await app.db.read(lambda tx: jobs.history(tx, who, page=page, newest_first=not from_start))
    ordered = found if from_start else reversed(found)
    return json_response({job.shown_id: history_item(job) for job in ordered})


async def get_core_history_item(app: App, request: ApiRequest) -> Response:
    """``/history/{id}``: an empty object, not 404, for a job that is unknown or not over (clients poll it)."""
    job = await _ended(app, request)
    shown: dict[str, Any] = {} if job is None else {job.shown_id: history_item(job)}
    return json_response(shown)


async def manage_history(app: App, request: ApiRequest) -> Response:
    who, now, wishes = request.who, app.clock.now(), request.body
    if wishes.get("clear"):
        while await app.db.write(lambda tx: jobs.forget_all(tx, who, at_most=PIECE, now=now)) == PIECE:
            pass
        return json_response({})
    for ids in in_pieces(wishes.get("delete", ())):
        await app.db.write(partial(jobs.forget, who=who, job_ids=ids, now=now))
    return json_response({})


async def _ended(app: App, request: ApiRequest) -> Job | None:
    who, job_id = request.who, request.params["prompt_id"]
    try:
        job = await app.db.read(lambda tx: jobs.get(tx, who, job_id=job_id))
    except NotFound:
        return None
    return job if job.summary.state.is_terminal else None


def _limit(max_items: int | None) -> int:
    return MOST if max_items is None or max_items < 0 else min(max_items, MOST)
