"""``/api/assets/seed`` and ``/api/assets/prune``: the server's own model files as assets that everybody sees."""

from starlette.responses import Response

from safelight.api.answers import json_response
from safelight.api.app import App
from safelight.api.call import Call
from safelight.core.errors import Forbidden
from safelight.services.seeding import progress_json


async def seed_assets(app: App, call: Call) -> Response:
    _check(call)
    started = app.seeder.start((call.body or {}).get("roots"))
    return json_response({"status": "started" if started else "already_running"})


async def get_asset_seed_status(app: App, call: Call) -> Response:
    _check(call)
    return json_response(progress_json(app.seeder.progress))


async def cancel_asset_seed(app: App, call: Call) -> Response:
    _check(call)
    return json_response({"status": "cancelling" if app.seeder.cancel() else "idle"})


async def prune_assets(app: App, call: Call) -> Response:
    _check(call)
    return json_response({"status": "completed", "marked": await app.seeder.prune()})


def _check(call: Call) -> None:
    if not call.who.is_admin:
        raise Forbidden("only an administrator may scan the server's folders")
