"""``/api/queue``: what waits and what runs, of the caller alone."""

from collections.abc import Callable
from functools import partial
from typing import Any

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.comfy.job_ids import PIECE, in_pieces
from safelight.api.comfy.job_json import contract_queue_item, queue_item
from safelight.api.responses import json_response
from safelight.core.job import Job
from safelight.services import job as jobs


async def get_queue_info(app: App, request: ApiRequest) -> Response:
    return await _queue(app, request, contract_queue_item)


async def get_core_queue(app: App, request: ApiRequest) -> Response:
    """``/queue``: the same in ComfyUI's own order of fields."""
    return await _queue(app, request, queue_item)


async def manage_queue(app: App, request: ApiRequest) -> Response:
    """Waiting jobs only; a running one is interrupted instead."""
    who, now = request.who, app.clock.now()
    wishes: dict[str, Any] = request.body
    clear = bool(wishes.get("clear"))
    deleted: list[str] = []
    if clear:
        while some := await app.db.write(lambda tx: jobs.cancel_all_queued(tx, who, at_most=PIECE, now=now)):
            deleted += some
    else:
        for ids in in_pieces(wishes.get("delete", ())):
            cancel = partial(jobs.cancel_queued, who=who, job_ids=ids, now=now)
            deleted += await app.db.write(cancel)
    return json_response({"deleted": deleted, "cleared": clear})


async def _queue(app: App, request: ApiRequest, item: Callable[[Job], list[Any]]) -> Response:
    who = request.who
    running, pending = await app.db.read(lambda tx: jobs.queue(tx, who))
    return json_response({"queue_running": [item(j) for j in running], "queue_pending": [item(j) for j in pending]})
