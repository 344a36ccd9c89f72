"""``POST /api/v2/estimate``: how long a graph would take, and when it would begin; and the same for a job that waits or
runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from safelight.core.pool import Capabilities, Pool, QueueKey, Requirements, fits
from safelight.core.user import Principal
from safelight.core.worker import SlotId, SlotStatus
from safelight.services import attempt as attempts
from safelight.services import estimate as estimates
from safelight.services import job as jobs
from safelight.services.estimate import Estimate
from safelight.services.job_view import JobView


@dataclass(frozen=True, slots=True)
class _Prospects:
    """``device``: the kind of device on which the job will probably run; ``run``: how long it takes there;
    ``start_s``: when it begins. ``None``: unknown."""

    device: str | None
    run: Estimate | None
    start_s: float | None


@on_leader
@unchecked_body
async def post_estimate(app: App, request: ApiRequest) -> Response:
    """The body is that of a submission. The members are null where nothing is known."""
    who = request.who
    raw = await request.read(limit=app.settings.limits.max_body_bytes)
    body = await request.decode(raw)
    draft = await resolved(app, request, read_draft(body, idempotency_key=None, is_large=len(raw) > LARGE_BODY_BYTES))
    command = (await prepare(app, request, draft)).command
    key = QueueKey(who.user_id, command.placement.pool, command.placement.engines)
    found = await _prospects(app, key, command.prompt, command.targets, ahead=None)
    run, start_s = found.run, found.start_s
    content = {
        "device": found.device,
        "basis": None if run is None else run.basis,
        "run_s": None if run is None else {"p50": run.p50_s, "p90": run.p90_s},
        "start_s": None if start_s is None else {"p50": start_s},
    }
    return json_response(content)


async def job_metrics(app: App, who: Principal, view: JobView) -> Mapping[str, int | None]:
    """The estimates of a job that waits or runs, in milliseconds; empty for one that has ended."""
    job = view.summary
    if job.state.is_terminal:
        return {}
    prompt, targets = await app.db.read(lambda tx: _graph(tx, who, job.shown_id))
    found = await _prospects(app, job.queue_key, prompt, targets, ahead=view.ahead)
    run, start_s = found.run, found.start_s if job.state is JobState.QUEUED else None
    return {
        "estimated_run_p50_ms": None if run is None else round(run.p50_s * 1000),
        "estimated_run_p90_ms": None if run is None else round(run.p90_s * 1000),
        "estimated_start_ms": None if start_s is None else round(start_s * 1000),
    }


async def _prospects(
    app: App, key: QueueKey, prompt: Mapping[str, Any], targets: Sequence[str], *, ahead: int | None
) -> _Prospects:
    """``ahead``: the owner's jobs that run before this one; ``None`` for a job that is not in the queue yet."""
    devices = _devices(app.dispatcher.slots(), key.requirements)
    names, catalogue = list(dict.fromkeys(devices.values())), app.catalogue.current

    def read(tx: Any) -> tuple[dict[str, Estimate], Mapping[QueueKey, int]]:
        runs = {
            name: run
            for name in names
            if (run := estimates.estimate(tx, device=name, prompt=prompt, targets=targets, catalogue=catalogue))
        }
        return runs, attempts.depths_by_key(tx)

    runs, depths = await app.db.read(read)
    waiting = depths.get(key, 0)
    first = next((runs[name] for name in names if name in runs), None)
    start = app.dispatcher.forecast(
        key,
        depths=depths,
        ahead=waiting if ahead is None else min(ahead, max(waiting - 1, 0)),
        run_s=None if first is None else first.p50_s,
    )
    device = devices.get(start.slot) if start is not None and start.slot is not None else None
    device = device or (names[0] if names else None)
    return _Prospects(device, runs.get(device) if device else None, None if start is None else start.start_s)


def _devices(slots: Sequence[SlotStatus], required: Requirements) -> Mapping[SlotId, str]:
    """The kind of device of each slot that may run a job with these requirements, where an engine has said it."""
    able = [slot for slot in slots if fits(required, Capabilities(frozenset(map(Pool, slot.labels)), slot.engine))]
    return {slot.id: slot.info.devices[0].name for slot in able if slot.info is not None and slot.info.devices}


def _graph(tx: Any, who: Principal, job_id: str) -> tuple[Mapping[str, Any], Sequence[str]]:
    job = jobs.get(tx, who, job_id=job_id)
    return job.prompt, job.targets
