"""``/api/settings``: what the user's web UI remembers. Bodies are JSON whatever they say they are."""

from typing import Any

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.request_body import InvalidBody
from safelight.api.responses import json_response
from safelight.core.errors import NotFound
from safelight.services import setting as settings


async def get_all_settings(app: App, request: ApiRequest) -> Response:
    who = request.who
    return json_response(await app.db.read(lambda tx: settings.load(tx, who)))


async def update_multiple_settings(app: App, request: ApiRequest) -> Response:
    who, values = request.who, await _value(app, request)
    if not isinstance(values, dict):
        raise InvalidBody("An object of settings is expected")

    await app.db.write(lambda tx: settings.put(tx, who, values=values))
    return json_response(await app.db.read(lambda tx: settings.load(tx, who)))


async def get_setting_by_id(app: App, request: ApiRequest) -> Response:
    value = await _get(app, request)
    if value is None:
        raise NotFound(f"There is no setting {request.params['id']!r}")
    return json_response({"value": value})


async def get_core_setting(app: App, request: ApiRequest) -> Response:
    """``/settings/{id}``: the bare value, null where it was never set."""
    return json_response(await _get(app, request))


async def update_setting_by_id(app: App, request: ApiRequest) -> Response:
    who, key, value = request.who, request.params["id"], await _value(app, request)
    await app.db.write(lambda tx: settings.put(tx, who, values={key: value}))
    return json_response({"value": value})


async def _get(app: App, request: ApiRequest) -> Any:
    who, key = request.who, request.params["id"]
    return await app.db.read(lambda tx: settings.get(tx, who, key=key))


async def _value(app: App, request: ApiRequest) -> Any:
    return await request.decode(await request.read(limit=app.settings.max_body_bytes))
