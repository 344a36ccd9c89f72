"""``/api/admin/schedule``: how many jobs wait, what each slot does, and the gates of the queue and of slots.

It shows which user has a job running, since device time is the administrator's concern, and nothing else of the job.
"""

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.handler import on_leader
from safelight.api.request_body import InvalidBody
from safelight.api.responses import json_response
from safelight.core.engine_kind import as_text
from safelight.core.errors import Forbidden, NotFound
from safelight.core.gate import Gates, QueueGate
from safelight.core.pool import Requirements
from safelight.core.worker import Device, SlotGate, SlotId, SlotState, SlotStatus
from safelight.db.transaction import Transaction
from safelight.services import attempt as attempts
from safelight.services import audit
from safelight.services import gate as gates

_MAX_BODY = 1000

M = TypeVar("M", bound=StrEnum)


@on_leader
async def get_schedule(app: App, request: ApiRequest) -> Response:
    return await _schedule(app, request)


async def set_queue_gate(app: App, request: ApiRequest) -> Response:
    _require_admin(request)
    mode, is_at_once = await _mode(request, QueueGate, at_once=QueueGate.CLOSED)

    def change(tx: Transaction) -> None:
        gates.set_queue(tx, request.who, mode=mode, is_at_once=is_at_once)
        audit.write(tx, request.who, action="queue.set", subject=mode, details={"now": is_at_once}, now=request.now)

    await app.db.write(change)
    return await _schedule(app, request)


@on_leader
async def set_slot_gate(app: App, request: ApiRequest) -> Response:
    _require_admin(request)
    mode, is_at_once = await _mode(request, SlotGate, at_once=SlotGate.DRAINED)
    slot = SlotId(request.params["slot"])
    if slot not in {there.id for there in app.dispatcher.slots()}:
        raise NotFound(f"there is no slot {slot!r}")

    def change(tx: Transaction) -> None:
        gates.set_slot(tx, request.who, slot=slot, mode=mode, is_at_once=is_at_once)
        details = {"mode": mode, "now": is_at_once}
        audit.write(tx, request.who, action="slot.set", subject=slot, details=details, now=request.now)

    await app.db.write(change)
    return await _schedule(app, request)


def _require_admin(request: ApiRequest) -> None:
    if not request.who.is_admin:
        raise Forbidden("only administrators may see and change the schedule")


async def _schedule(app: App, request: ApiRequest) -> Response:
    _require_admin(request)

    def read(tx: Transaction) -> tuple[Gates, Mapping[Requirements, int]]:
        return gates.load(tx), attempts.depths(tx)

    state, depths = await app.db.read(read)
    slots = [_slot(slot, state) for slot in app.dispatcher.slots()]
    waiting, by_engines = Counter[str](), Counter[str]()
    for required, count in depths.items():
        waiting[required.pool] += count
        by_engines[as_text(required.engines)] += count
    queue = {"mode": state.queue, "waiting": waiting, "waiting_by_engines": by_engines}
    return json_response({"queue": queue, "slots": slots})


async def _mode(request: ApiRequest, kind: type[M], *, at_once: M) -> tuple[M, bool]:
    """The mode in the body, and whether it applies to running jobs as well, as only the mode ``at_once`` can."""
    body = await request.read_json(limit=_MAX_BODY)
    try:
        mode, now = kind(body["mode"]), body.get("now", False)
    except (TypeError, KeyError, ValueError, AttributeError):
        modes = ", ".join(repr(mode.value) for mode in kind)
        raise InvalidBody(f'the body must be {{"mode": ...}} with one of {modes}') from None
    if not isinstance(now, bool) or (now and mode is not at_once):
        raise InvalidBody(f"'now' must be a boolean, and true only with the mode {at_once.value!r}")
    return mode, now


def _slot(slot: SlotStatus, state: Gates) -> dict[str, Any]:
    """``mode`` comes from the database, which has a change before the dispatcher does."""
    info = slot.info
    return {
        "id": slot.id,
        "labels": slot.labels,
        "engine": slot.engine,
        "version": info.version if info is not None else "",
        "pytorch_version": info.pytorch_version if info is not None else "",
        "lacks": slot.lacks,
        "state": slot.state,
        "reason": slot.reason,
        "mode": state.of(slot.id),
        "user": slot.owner_id,
        "host": info.host if info is not None and slot.state is not SlotState.STOPPED else "",
        "devices": [device.name for device in info.devices] if info is not None else [],
        "device_details": [_device(device) for device in info.devices] if info is not None else [],
        "warm_models": info.warm_models if info is not None else [],
    }


def _device(device: Device) -> dict[str, Any]:
    """``memory``: in bytes; of a CPU, the machine's."""
    return {
        "name": device.name,
        "type": device.type,
        "memory": device.vram_total,
        "free": device.vram_free,
        "capability": device.capability,
    }
