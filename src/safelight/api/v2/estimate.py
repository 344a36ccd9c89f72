"""``POST /api/v2/estimate``: how long a graph would take, and when it would begin; and the same for a job that waits or
runs."""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.handler import on_leader, unchecked_body
from safelight.api.heavy import LARGE_BODY_BYTES
from safelight.api.responses import json_response
from safelight.api.v2.submit import prepare, resolved
from safelight.api.v2.submit_body import read_draft
from safelight.core.job import JobState
from safelight.core.user import Principal
from safelight.core.worker import SlotState
from safelight.services import estimate as estimates
from safelight.services import job as jobs
from safelight.services.estimate import Estimate
from safelight.services.job_view import JobView


@on_leader
@unchecked_body
async def post_estimate(app: App, request: ApiRequest) -> Response:
    """The body is that of a submission. The members are null where nothing is known."""
    who = request.who
    raw = await request.read(limit=app.settings.limits.max_body_bytes)
    body = await request.decode(raw)
    draft = await resolved(app, request, read_draft(body, idempotency_key=None, is_large=len(raw) > LARGE_BODY_BYTES))
    command = (await prepare(app, request, draft)).command
    found = await _estimate(app, command.prompt, command.targets)
    ahead = await app.db.read(lambda tx: jobs.waiting(tx, who))
    start_s = _start_s(app, found, ahead=ahead)
    content = {
        "device": device_of(app),
        "basis": None if found is None else found.basis,
        "run_s": None if found is None else {"p50": found.p50_s, "p90": found.p90_s},
        "start_s": None if start_s is None else {"p50": start_s},
    }
    return json_response(content)


async def job_metrics(app: App, who: Principal, view: JobView) -> Mapping[str, int | None]:
    """The estimates of a job that waits or runs, in milliseconds; empty for one that has ended."""
    job = view.summary
    if job.state.is_terminal:
        return {}
    found = await _estimate(app, *await app.db.read(lambda tx: _graph(tx, who, job.shown_id)))
    start_s = _start_s(app, found, ahead=view.ahead or 0) if job.state is JobState.QUEUED else None
    return {
        "estimated_run_p50_ms": None if found is None else round(found.p50_s * 1000),
        "estimated_run_p90_ms": None if found is None else round(found.p90_s * 1000),
        "estimated_start_ms": None if start_s is None else round(start_s * 1000),
    }


def device_of(app: App) -> str | None:
    """The kind of device on which jobs run; of several kinds, the one of the first engine."""
    names = [device.name for info in app.dispatcher.engines() for device in info.devices]
    return names[0] if names else None


def _graph(tx: Any, who: Principal, job_id: str) -> tuple[Mapping[str, Any], Sequence[str]]:
    job = jobs.get(tx, who, job_id=job_id)
    return job.prompt, job.targets


async def _estimate(app: App, prompt: Mapping[str, Any], targets: Sequence[str]) -> Estimate | None:
    device, catalogue = device_of(app), app.catalogue.current
    if device is None:
        return None
    return await app.db.read(
        lambda tx: estimates.estimate(tx, device=device, prompt=prompt, targets=targets, catalogue=catalogue)
    )


def _start_s(app: App, found: Estimate | None, *, ahead: int) -> float | None:
    """When a job would begin: at once if a worker is idle and none of the owner's jobs waits. Else the owner's earlier
    jobs are taken to last as long as this one, and the running ones to be half done."""
    slots = app.dispatcher.slots()
    if ahead == 0 and any(slot.state in (SlotState.IDLE, SlotState.STOPPED) for slot in slots):
        return 0.0
    if found is None or not slots:
        return None
    return (ahead + 0.5) * found.p50_s / len(slots)
