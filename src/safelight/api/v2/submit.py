"""``POST /api/v2/jobs``: a submission. The rules are those of every API (``services/submission.py``)."""

from dataclasses import replace
from typing import Any

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.deadline import attended
from safelight.api.handler import on_leader, unchecked_body
from safelight.api.heavy import LARGE_BODY_BYTES
from safelight.api.responses import json_response
from safelight.api.v2.job_json import job_json
from safelight.api.v2.submit_body import count_nodes, read_draft
from safelight.core.errors import InvalidPrompt
from safelight.graph.prompt_format import Limits, check_size
from safelight.graph.validation_errors import outputs_failed
from safelight.services import asset_access, asset_reference
from safelight.services.idempotency import check_key
from safelight.services.job_view import JobView
from safelight.services.submission import Draft, Prepared

_REFERENCE = asset_reference.TYPE.encode()


@on_leader
@unchecked_body
async def post_jobs(app: App, request: ApiRequest) -> Response:
    header = request.http.headers.get("idempotency-key")
    key = None if header is None else check_key(header)
    raw = await request.read(limit=app.settings.limits.max_body_bytes)
    async with attended(request.http, limit_s=app.settings.limits.read_deadline_s):
        body = await _decode(app, request, raw)
        draft = read_draft(body, idempotency_key=key, is_large=len(raw) > LARGE_BODY_BYTES)
        if _REFERENCE in raw or b"\\u00" in raw:
            draft = await resolved(app, request, draft)
        prepared = await prepare(app, request, draft)
    accepted = await app.submissions.accept(request.who, prepared)
    view = JobView(accepted.job, (), accepted.ahead)
    return json_response(job_json(view, request.http, now=app.clock.now()), status=201)


async def prepare(app: App, request: ApiRequest, draft: Draft) -> Prepared:
    """Check the draft. An output that cannot run refuses the whole graph, because the answer has no place to say so."""
    prepared = await app.submissions.prepare(request.who, draft)
    if prepared.node_errors:
        details = [
            f"{node_id}: {error['message']}" for node_id, e in prepared.node_errors.items() for error in e["errors"]
        ]
        raise InvalidPrompt(outputs_failed(details, prepared.node_errors).error, prepared.node_errors)
    return prepared


async def resolved(app: App, request: ApiRequest, draft: Draft) -> Draft:
    """The draft with the names of assets in the places of references to them."""
    who, now = request.who, request.now
    ids = await request.run(lambda: asset_reference.asset_ids_in(draft.prompt), is_heavy=draft.is_large)
    if not ids:
        return draft
    found = await app.db.read(lambda tx: asset_access.by_ids(tx, who, asset_ids=ids, now=now))
    done = await request.run(lambda: asset_reference.resolve(draft.prompt, found), is_heavy=draft.is_large)
    return replace(draft, prompt=done.prompt, assets=done.assets)


async def _decode(app: App, request: ApiRequest, raw: bytes) -> Any:
    """The body as JSON. The nodes of a large one are counted first, which takes a tenth of the time."""
    if len(raw) > LARGE_BODY_BYTES:
        limits = Limits(nodes=app.settings.limits.max_graph_nodes)
        check_size(await request.run(lambda: count_nodes(raw), is_heavy=True), limits)
    return await request.decode(raw)
