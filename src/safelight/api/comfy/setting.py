"""``/api/settings``: what the user's web UI remembers. Bodies are read as JSON whatever their Content-Type is."""

from typing import Any

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.handler import reads, unchecked_body
from safelight.api.request_body import InvalidBody
from safelight.api.responses import json_response
from safelight.core.errors import NotFound
from safelight.db.transaction import Transaction
from safelight.services import setting as settings


@reads
def get_all_settings(tx: Transaction, request: ApiRequest) -> Any:
    return settings.load(tx, request.who)


@unchecked_body
async def update_multiple_settings(app: App, request: ApiRequest) -> Response:
    who, values = request.who, await _read_value(request)
    if not isinstance(values, dict):
        raise InvalidBody("the body must be an object of settings")

    await app.db.write(lambda tx: settings.put(tx, who, values=values))
    return json_response(await app.db.read(lambda tx: settings.load(tx, who)))


@reads
def get_setting_by_id(tx: Transaction, request: ApiRequest) -> Any:
    key = request.params["id"]
    value = settings.get(tx, request.who, key=key)
    if value is None:
        raise NotFound(f"there is no setting {key!r}")
    return {"value": value}


@reads
def get_core_setting(tx: Transaction, request: ApiRequest) -> Any:
    """``/settings/{id}``: the bare value, null where it was never set."""
    return settings.get(tx, request.who, key=request.params["id"])


@unchecked_body
async def update_setting_by_id(app: App, request: ApiRequest) -> Response:
    who, key, value = request.who, request.params["id"], await _read_value(request)
    await app.db.write(lambda tx: settings.put(tx, who, values={key: value}))
    return json_response({"value": value})


async def _read_value(request: ApiRequest) -> Any:
    return await request.decode(await request.read(limit=request.settings.limits.max_body_bytes))
