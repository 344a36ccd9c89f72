"""Tools that run graphs, follow them and fetch their files."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from safelight.api.mcp.catalogue_tools import WORKFLOW
from safelight.api.mcp.tool import Picture, Tool, ToolCall, object_schema
from safelight.api.v2.asset_json import asset_json
from safelight.api.v2.job_json import job_json
from safelight.core.errors import InvalidPrompt
from safelight.core.ids import AssetId
from safelight.core.job_label import check_labels
from safelight.graph.validation_errors import outputs_failed
from safelight.services import asset_access, asset_reference, job_view
from safelight.services import job as jobs
from safelight.services.submission import Draft

LONGEST_WAIT_S = 300
POLL_S = 0.25
LARGEST_PICTURE = 4 << 20
"""Bytes of a picture that is part of an answer; a larger one is a URL."""


async def run_workflow(call: ToolCall) -> Any:
    return await run_graph(call, call.mapping("workflow"))


async def run_graph(call: ToolCall, graph: Mapping[str, Any]) -> Any:
    """Submit the graph, and wait as long as the arguments say."""
    app, who, now = call.app, call.who, call.app.clock.now()
    wait_s = call.number("wait_s", default=0, most=LONGEST_WAIT_S)
    labels = check_labels(call.mapping("metadata", {}))
    ids = asset_reference.asset_ids_in(graph)
    found = await app.db.read(lambda tx: asset_access.by_ids(tx, who, asset_ids=ids, now=now)) if ids else {}
    resolved = asset_reference.resolve(graph, found)
    draft = Draft(prompt=resolved.prompt, assets=resolved.assets, labels=labels)
    prepared = await app.submissions.prepare(who, draft)
    if prepared.node_errors:
        raise InvalidPrompt(outputs_failed([], prepared.node_errors).error, prepared.node_errors)
    accepted = await app.submissions.accept(who, prepared)
    return await _job(call, accepted.job.shown_id, wait_s)


async def get_job(call: ToolCall) -> Any:
    return await _job(call, call.text("job_id"), call.number("wait_s", default=0, most=LONGEST_WAIT_S))


async def cancel_job(call: ToolCall) -> Any:
    who, job_id, now = call.who, call.text("job_id"), call.app.clock.now()
    await call.app.db.write(lambda tx: jobs.cancel(tx, who, job_id=job_id, now=now))
    return await _job(call, job_id, 0)


async def get_output(call: ToolCall) -> Any:
    who, asset_id, now = call.who, AssetId(call.text("asset_id").lower()), call.app.clock.now()
    asset = await call.app.db.read(lambda tx: asset_access.viewable(tx, who, asset_id=asset_id, now=now))
    if not asset.mime_type.startswith("image/") or asset.size > LARGEST_PICTURE:
        return asset_json(asset, call.http, now=now)
    parts = [chunk async for chunk in call.app.blobs.read(asset.digest)]
    return Picture(b"".join(parts), asset.mime_type)


async def _job(call: ToolCall, job_id: str, wait_s: float) -> Any:
    """The job as it is when it ends, or after ``wait_s``."""
    app, who, end_s = call.app, call.who, time.monotonic() + wait_s
    while True:
        view = await app.db.read(lambda tx: job_view.view(tx, who, job_id=job_id))
        if view.summary.state.is_terminal or time.monotonic() >= end_s:
            break
        await asyncio.sleep(POLL_S)
    progress = app.streams.progress.of(view.summary.id, nodes=view.summary.node_count)
    return job_json(view, call.http, progress=progress, now=app.clock.now())


_JOB_ID = {"type": "string"}
WAIT = {"type": "number", "minimum": 0, "maximum": LONGEST_WAIT_S, "description": "Seconds to wait for the end."}
_LABELS = {"type": "object", "additionalProperties": {"type": "string"}}

TOOLS = (
    Tool(
        "run_workflow",
        "Run a graph. The answer is the job; its outputs have asset ids for get_output.",
        object_schema(("workflow",), workflow=WORKFLOW, wait_s=WAIT, metadata=_LABELS),
        run_workflow,
    ),
    Tool(
        "get_job",
        "The state, progress, outputs and error of a job.",
        object_schema(("job_id",), job_id=_JOB_ID, wait_s=WAIT),
        get_job,
    ),
    Tool("cancel_job", "Cancel a job.", object_schema(("job_id",), job_id=_JOB_ID), cancel_job),
    Tool(
        "get_output",
        "An output or another asset: a picture itself, everything else as a URL.",
        object_schema(("asset_id",), asset_id={"type": "string"}),
        get_output,
    ),
)
