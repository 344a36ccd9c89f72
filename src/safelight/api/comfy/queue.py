"""``/api/queue``: the caller's own waiting and running jobs."""

from functools import partial
from typing import Any

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.comfy.job_ids import PIECE, in_pieces
from safelight.api.comfy.job_json import contract_queue_item, queue_item
from safelight.api.handler import reads
from safelight.api.responses import json_response
from safelight.db.transaction import Transaction
from safelight.services import job as jobs


@reads
def get_queue_info(tx: Transaction, request: ApiRequest) -> Any:
    running, pending = jobs.queue(tx, request.who)
    return {
        "queue_running": [contract_queue_item(job) for job in running],
        "queue_pending": [contract_queue_item(job) for job in pending],
    }


@reads
def get_core_queue(tx: Transaction, request: ApiRequest) -> Any:
    """``/queue``: the same in ComfyUI's order of fields."""
    running, pending = jobs.queue(tx, request.who)
    return {
        "queue_running": [queue_item(job) for job in running],
        "queue_pending": [queue_item(job) for job in pending],
    }


async def manage_queue(app: App, request: ApiRequest) -> Response:
    """Cancel waiting jobs. Running jobs are left alone: clients interrupt those instead."""
    who, now = request.who, request.now
    body: dict[str, Any] = request.body
    clear = bool(body.get("clear"))
    deleted: list[str] = []
    if clear:
        while some := await app.db.write(lambda tx: jobs.cancel_all_queued(tx, who, at_most=PIECE, now=now)):
            deleted += some
    else:
        for ids in in_pieces(body.get("delete", ())):
            cancel = partial(jobs.cancel_queued, who=who, job_ids=ids, now=now)
            deleted += await app.db.write(cancel)
    return json_response({"deleted": deleted, "cleared": clear})
