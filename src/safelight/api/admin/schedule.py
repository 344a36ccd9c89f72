"""What waits, what runs where, and the gates: ``/api/admin/schedule`` and what is below it.

It tells who has a job running, since device time is the administrator's business; it names no job and shows nothing
of one.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.request_body import InvalidBody
from safelight.api.responses import json_response
from safelight.core.errors import Forbidden, NotFound
from safelight.core.gate import Gates, QueueGate
from safelight.core.pool import Pool
from safelight.core.worker import SlotGate, SlotId, SlotState, SlotStatus
from safelight.db.transaction import Transaction
from safelight.services import attempt as attempts
from safelight.services import gate as gates

_MAX_BODY = 1000

M = TypeVar("M", bound=StrEnum)


async def get_schedule(app: App, request: ApiRequest) -> Response:
    if not request.who.is_admin:
        raise Forbidden("The schedule is for administrators")

    def look(tx: Transaction) -> tuple[Gates, Mapping[Pool, int]]:
        return gates.load(tx), attempts.depths(tx)

    state, waiting = await app.db.read(look)
    slots = [_slot(slot, state) for slot in app.dispatcher.slots()]
    return json_response({"queue": {"mode": state.queue, "waiting": waiting}, "slots": slots})


async def set_queue_gate(app: App, request: ApiRequest) -> Response:
    mode, is_at_once = await _mode(request, QueueGate, at_once=QueueGate.CLOSED)
    await app.db.write(lambda tx: gates.set_queue(tx, request.who, mode=mode, is_at_once=is_at_once))
    return await get_schedule(app, request)


async def set_slot_gate(app: App, request: ApiRequest) -> Response:
    mode, is_at_once = await _mode(request, SlotGate, at_once=SlotGate.DRAINED)
    slot = SlotId(request.params["slot"])
    if request.who.is_admin and slot not in {there.id for there in app.dispatcher.slots()}:
        raise NotFound(f"there is no slot {slot!r}")
    await app.db.write(lambda tx: gates.set_slot(tx, request.who, slot=slot, mode=mode, is_at_once=is_at_once))
    return await get_schedule(app, request)


async def _mode(request: ApiRequest, kind: type[M], *, at_once: M) -> tuple[M, bool]:
    """The mode of the body, and whether it holds for what runs as well; ``at_once``: the mode of which it may."""
    body = await request.read_json(limit=_MAX_BODY)
    try:
        mode, now = kind(body["mode"]), body.get("now", False)
    except (TypeError, KeyError, ValueError, AttributeError):
        modes = ", ".join(repr(mode.value) for mode in kind)
        raise InvalidBody(f'The body is to be {{"mode": ...}} with one of {modes}') from None
    if not isinstance(now, bool) or (now and mode is not at_once):
        raise InvalidBody(f"'now' is a boolean, and true only with the mode {at_once.value!r}")
    return mode, now


def _slot(slot: SlotStatus, state: Gates) -> dict[str, Any]:
    """``gate`` from the database, where a change is before the dispatcher has heard of it."""
    info = slot.info
    return {
        "id": slot.id,
        "labels": slot.labels,
        "state": slot.state,
        "reason": slot.reason,
        "mode": state.of(slot.id),
        "user": slot.owner_id,
        "host": info.host if info is not None and slot.state is not SlotState.STOPPED else "",
        "devices": [device.name for device in info.devices] if info is not None else [],
        "warm_models": info.warm_models if info is not None else [],
    }
