"""``/api/settings``: what the user's web UI remembers. Bodies are JSON whatever they say they are."""

from typing import Any

from starlette.responses import Response

from safelight.api.answers import json_response
from safelight.api.app import App
from safelight.api.bodies import InvalidBody
from safelight.api.call import Call
from safelight.core.errors import NotFound
from safelight.services import setting as settings


async def get_all_settings(app: App, call: Call) -> Response:
    who = call.who
    return json_response(await app.db.read(lambda tx: settings.load(tx, who)))


async def update_multiple_settings(app: App, call: Call) -> Response:
    who, values = call.who, await _value(app, call)
    if not isinstance(values, dict):
        raise InvalidBody("An object of settings is expected")

    await app.db.write(lambda tx: settings.put(tx, who, values=values))
    return json_response(await app.db.read(lambda tx: settings.load(tx, who)))


async def get_setting_by_id(app: App, call: Call) -> Response:
    value = await _get(app, call)
    if value is None:
        raise NotFound(f"There is no setting {call.params['id']!r}")
    return json_response({"value": value})


async def get_core_setting(app: App, call: Call) -> Response:
    """``/settings/{id}``: the bare value, null where it was never set."""
    return json_response(await _get(app, call))


async def update_setting_by_id(app: App, call: Call) -> Response:
    who, key, value = call.who, call.params["id"], await _value(app, call)
    await app.db.write(lambda tx: settings.put(tx, who, values={key: value}))
    return json_response({"value": value})


async def _get(app: App, call: Call) -> Any:
    who, key = call.who, call.params["id"]
    return await app.db.read(lambda tx: settings.get(tx, who, key=key))


async def _value(app: App, call: Call) -> Any:
    return await call.decode(await call.read(limit=app.settings.max_body_bytes))
