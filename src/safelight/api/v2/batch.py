"""``/api/v2/batches``: many jobs of one graph under one id. A route of our own, documented in
``docs/reference/api-v2.md``."""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.event_stream import EventStream, comment, frame
from safelight.api.handler import on_leader, reads, unchecked_body
from safelight.api.heavy import LARGE_BODY_BYTES
from safelight.api.responses import json_response
from safelight.api.v2.batch_body import read_variations
from safelight.api.v2.batch_json import batch_job_json, batch_json, batch_status, counts_json
from safelight.api.v2.cursor import read_cursor, write_cursor
from safelight.api.v2.job_events import COMMENT_S, EACH_S
from safelight.api.v2.streams import Stream
from safelight.api.v2.submit import prepare, resolved
from safelight.api.v2.submit_body import OWN_MEMBER, InvalidSubmission, read_draft
from safelight.core.batch import BatchId, Variations
from safelight.db.transaction import Transaction
from safelight.graph.variations import check_values
from safelight.services import batch as batches
from safelight.services import named_files
from safelight.services.batch import BatchView, NewBatch
from safelight.services.idempotency import check_key

_MEMBERS = {"workflow", "axes", "rows", "metadata", OWN_MEMBER}
_MANY_VALUES = 500


@on_leader
@unchecked_body
async def post_batches(app: App, request: ApiRequest) -> Response:
    """201 once the batch is stored; its jobs are made afterwards, piece by piece."""
    who = request.who
    header = request.http.headers.get("idempotency-key")
    key = None if header is None else check_key(header)
    raw = await request.read(limit=app.settings.limits.max_body_bytes)
    body = await request.decode(raw)
    if not isinstance(body, Mapping) or set(body) - _MEMBERS:
        raise InvalidSubmission(f"the body must be an object with {', '.join(sorted(_MEMBERS))}, and nothing else")
    draft = await resolved(app, request, read_draft(body, idempotency_key=None, is_large=len(raw) > LARGE_BODY_BYTES))
    variations = await request.run(lambda: read_variations(body), is_heavy=len(raw) > LARGE_BODY_BYTES)
    prepared = await prepare(app, request, draft)
    converted = await _checked(app, request, prepared.command.prompt, variations)
    new = NewBatch(
        command=prepared.command,
        variations=variations,
        converted=converted,
        labels=draft.labels,
        idempotency_key=key,
    )
    now = app.clock.now()
    batch = await app.db.write(lambda tx: batches.create(tx, who, new=new, now=now))
    return json_response(batch_json(BatchView(batch, 0), request.http), status=201)


async def _checked(
    app: App, request: ApiRequest, prompt: Mapping[str, Any], variations: Variations
) -> Sequence[Mapping[str, Any]]:
    """The values of each place as a prompt holds them. Raises :class:`InvalidPrompt`."""
    who, catalogue = request.who, app.catalogue.current
    distinct = variations.distinct()
    names = {value for values in distinct for value in values if isinstance(value, str)}
    files = await app.db.read(lambda tx: named_files.files_named(tx, who, names=names)) if names else {}

    def check() -> Sequence[Mapping[str, Any]]:
        return [
            check_values(
                prompt,
                catalogue,
                node_id=place.node_id,
                name=place.name,
                values=values,
                file_exists=files.__contains__,
            )
            for place, values in zip(variations.places, distinct, strict=True)
        ]

    return await request.run(check, is_heavy=sum(map(len, distinct)) > _MANY_VALUES)


@reads
def list_batches(tx: Transaction, request: ApiRequest) -> Any:
    params = request.params
    before = None if params["cursor"] is None else read_cursor(params["cursor"], kind="batches")
    page = batches.list(tx, request.who, before=before, limit=params["limit"])
    shown: dict[str, Any] = {
        "batches": [batch_json(batches.get(tx, request.who, batch_id=b.id), request.http) for b in page.batches]
    }
    return (
        shown if page.next_before is None else shown | {"next_cursor": write_cursor(page.next_before, kind="batches")}
    )


@reads
def get_batch(tx: Transaction, request: ApiRequest) -> Any:
    return batch_json(batches.get(tx, request.who, batch_id=_id(request)), request.http)


@reads
def list_batch_jobs(tx: Transaction, request: ApiRequest) -> Any:
    """Jobs in the order of their indices, those that have been made."""
    params = request.params
    start = 0 if params["cursor"] is None else read_cursor(params["cursor"], kind="batch-jobs")
    limit = params["limit"]
    found = batches.jobs_of(tx, request.who, batch_id=_id(request), start=start, limit=limit)
    shown: dict[str, Any] = {"jobs": [batch_job_json(job, request.http, now=request.now) for job in found]}
    if len(found) < limit:
        return shown
    return shown | {"next_cursor": write_cursor(found[-1].index + 1, kind="batch-jobs")}


async def cancel_batch(app: App, request: ApiRequest) -> Response:
    who, batch_id, now = request.who, _id(request), request.now
    while await app.db.write(lambda tx: batches.cancel(tx, who, batch_id=batch_id, now=now)):
        pass
    view = await app.db.read(lambda tx: batches.get(tx, who, batch_id=batch_id))
    return json_response(batch_json(view, request.http))


async def get_batch_events(app: App, request: ApiRequest) -> Response:
    """``status`` frames with the counts, at most two a second; the one of the end is the last."""
    who, batch_id = request.who, _id(request)
    await app.db.read(lambda tx: batches.get(tx, who, batch_id=batch_id))
    stream = app.streams.open(who.user_id, subject=batch_id)
    frames = _frames(app, request, stream)
    return EventStream(frames, close=lambda: app.streams.close(stream, subject=batch_id))


async def _frames(app: App, request: ApiRequest, stream: Stream) -> AsyncIterator[bytes]:
    who, batch_id = request.who, _id(request)
    sent_s, last = time.monotonic(), None
    while not stream.is_closed:
        if stream.has_status:
            stream.has_status = False
            view = await app.db.read(lambda tx: batches.get(tx, who, batch_id=batch_id))
            status = {"status": batch_status(view), "total": view.batch.total, "counts": counts_json(view)}
            if status != last:
                last = status
                yield frame("status", status)
                sent_s = time.monotonic()
            if view.batch.ended_at is not None:
                return
            await stream.pause(EACH_S)
        elif time.monotonic() - sent_s >= COMMENT_S:
            yield comment()
            sent_s = time.monotonic()
        await stream.wait(max(COMMENT_S - (time.monotonic() - sent_s), 0.01))


def _id(request: ApiRequest) -> BatchId:
    return BatchId(request.params["id"])
