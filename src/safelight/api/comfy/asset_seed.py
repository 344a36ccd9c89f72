"""``/api/assets/seed`` and ``/api/assets/prune``: the server's own model files as public assets."""

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.handler import on_leader
from safelight.api.responses import json_response
from safelight.core.errors import Forbidden
from safelight.services.model_index import progress_json


@on_leader
async def seed_assets(app: App, request: ApiRequest) -> Response:
    _require_admin(request)
    started = app.model_indexer.start((request.body or {}).get("roots"))
    return json_response({"status": "started" if started else "already_running"})


@on_leader
async def get_asset_seed_status(app: App, request: ApiRequest) -> Response:
    _require_admin(request)
    return json_response(progress_json(app.model_indexer.progress))


@on_leader
async def cancel_asset_seed(app: App, request: ApiRequest) -> Response:
    _require_admin(request)
    return json_response({"status": "cancelling" if app.model_indexer.cancel() else "idle"})


@on_leader
async def prune_assets(app: App, request: ApiRequest) -> Response:
    _require_admin(request)
    return json_response({"status": "completed", "marked": await app.model_indexer.prune()})


def _require_admin(request: ApiRequest) -> None:
    if not request.who.is_admin:
        raise Forbidden("only an administrator may scan the server's folders")
