"""Finished jobs in the forms older than ``/api/jobs``: the contract's ``history_v2`` and ComfyUI's ``history``."""

from functools import partial
from typing import Any

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.comfy.job_ids import PIECE, in_pieces
from safelight.api.comfy.job_json import history_detail, history_entry, history_item
from safelight.api.handler import reads
from safelight.api.responses import json_response
from safelight.core.errors import NotFound
from safelight.core.job import Job
from safelight.core.paging import PageRequest
from safelight.db.transaction import Transaction
from safelight.services import job as jobs

MOST = 10_000
"""Jobs in one response where the client sets no limit; ComfyUI keeps no more than this either."""


@reads
def get_history(tx: Transaction, request: ApiRequest) -> Any:
    """The newest first."""
    params = request.params
    page = PageRequest(limit=_limit(params["max_items"]), offset=max(params["offset"], 0))
    found = jobs.history(tx, request.who, page=page, newest_first=True)
    return {"history": [history_entry(job) for job in found]}


@reads
def get_history_for_prompt(tx: Transaction, request: ApiRequest) -> Any:
    job = _find_ended(tx, request)
    if job is None:
        raise NotFound(f"there is no finished job {request.params['prompt_id']!r}")
    return {job.shown_id: history_detail(job)}


@reads
def get_core_history(tx: Transaction, request: ApiRequest) -> Any:
    """``/history``: the oldest first. Without an offset, ``max_items`` selects the newest jobs."""
    limit, offset = _limit(request.params["max_items"]), request.params["offset"]
    from_start = offset is not None and offset >= 0
    page = PageRequest(limit=limit, offset=offset if from_start else 0)
    found = jobs.history(tx, request.who, page=page, newest_first=not from_start)
    return {job.shown_id: history_item(job) for job in (found if from_start else reversed(found))}


@reads
def get_core_history_item(tx: Transaction, request: ApiRequest) -> Any:
    """``/history/{id}``: an empty object, not 404, for a job that is unknown or not finished (clients poll it)."""
    job = _find_ended(tx, request)
    return {} if job is None else {job.shown_id: history_item(job)}


async def manage_history(app: App, request: ApiRequest) -> Response:
    who, now, body = request.who, request.now, request.body
    if body.get("clear"):
        while await app.db.write(lambda tx: jobs.forget_all(tx, who, at_most=PIECE, now=now)) == PIECE:
            pass
        return json_response({})
    for ids in in_pieces(body.get("delete", ())):
        await app.db.write(partial(jobs.forget, who=who, job_ids=ids, now=now))
    return json_response({})


def _find_ended(tx: Transaction, request: ApiRequest) -> Job | None:
    try:
        job = jobs.get(tx, request.who, job_id=request.params["prompt_id"])
    except NotFound:
        return None
    return job if job.summary.state.is_terminal else None


def _limit(max_items: int | None) -> int:
    return MOST if max_items is None or max_items < 0 else min(max_items, MOST)
