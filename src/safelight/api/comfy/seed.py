"""``/api/assets/seed`` and ``/api/assets/prune``: the server's own model files as assets that everybody sees."""

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.responses import json_response
from safelight.core.errors import Forbidden
from safelight.services.model_index import progress_json


async def seed_assets(app: App, request: ApiRequest) -> Response:
    _check(request)
    started = app.model_indexer.start((request.body or {}).get("roots"))
    return json_response({"status": "started" if started else "already_running"})


async def get_asset_seed_status(app: App, request: ApiRequest) -> Response:
    _check(request)
    return json_response(progress_json(app.model_indexer.progress))


async def cancel_asset_seed(app: App, request: ApiRequest) -> Response:
    _check(request)
    return json_response({"status": "cancelling" if app.model_indexer.cancel() else "idle"})


async def prune_assets(app: App, request: ApiRequest) -> Response:
    _check(request)
    return json_response({"status": "completed", "marked": await app.model_indexer.prune()})


def _check(request: ApiRequest) -> None:
    if not request.who.is_admin:
        raise Forbidden("only an administrator may scan the server's folders")
