"""``/api/prompt``: submissions in ComfyUI's form. The rules are in ``services/submission.py``."""

from typing import Any

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.comfy.job_json import plain_number
from safelight.api.comfy.prompt_body import count_nodes, read_draft
from safelight.api.deadline import attended
from safelight.api.handler import on_leader, reads, unchecked_body
from safelight.api.heavy import LARGE_BODY_BYTES
from safelight.api.responses import json_response
from safelight.db.transaction import Transaction
from safelight.graph.prompt_format import Limits, check_size
from safelight.services import job as jobs
from safelight.services.submission import Accepted


@reads
def get_prompt_info(tx: Transaction, request: ApiRequest) -> Any:
    return {"exec_info": {"queue_remaining": jobs.remaining(tx, request.who)}}


@on_leader
@unchecked_body
async def execute_prompt(app: App, request: ApiRequest) -> Response:
    who = request.who
    raw = await request.read(limit=app.settings.limits.max_body_bytes)
    async with attended(request.http, limit_s=app.settings.limits.read_deadline_s):
        body = await _decode(request, raw, limits=Limits(nodes=app.settings.limits.max_graph_nodes))
        draft = read_draft(body, is_large=len(raw) > LARGE_BODY_BYTES)
        prepared = await app.submissions.prepare(who, draft)
    return json_response(_rendered(await app.submissions.accept(who, prepared)))


async def _decode(request: ApiRequest, raw: bytes, *, limits: Limits) -> Any:
    """The body as JSON. The nodes of a large one are counted first, which takes a tenth of the time."""
    if len(raw) > LARGE_BODY_BYTES:
        check_size(await request.run(lambda: count_nodes(raw), is_heavy=True), limits)
    return await request.decode(raw)


def _rendered(accepted: Accepted) -> dict[str, Any]:
    job = accepted.job
    return {"prompt_id": job.shown_id, "number": plain_number(job.number), "node_errors": accepted.node_errors}
