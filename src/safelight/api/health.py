"""``/health/live`` and ``/health/ready``, for orchestrators and load balancers. The contract's ``/health`` is in
``comfy/system.py``."""

import logging

from starlette.responses import PlainTextResponse, Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.contract import Shape
from safelight.api.responses import json_response
from safelight.api.route import Route

log = logging.getLogger(__name__)


async def get_live(app: App, request: ApiRequest) -> Response:
    """Whether the process answers; an orchestrator restarts it where it does not."""
    return PlainTextResponse("OK")


async def get_ready(app: App, request: ApiRequest) -> Response:
    """Whether the server would accept a job now: the database answers and the nodes are known.

    Also reports how many workers are ready, and how many slots exist (some may be starting or stopped)."""
    if not await database_answers(app):
        return PlainTextResponse("not ready: the database does not answer", 503)
    if not app.catalogue.is_known:
        return PlainTextResponse("not ready: no worker has declared its nodes yet", 503)
    content = {"ready": True, "workers": len(app.dispatcher.engines()), "slots": len(app.dispatcher.slots())}
    return json_response(content, headers={"cache-control": "no-store"})


async def database_answers(app: App) -> bool:
    try:
        await app.db.read(lambda tx: None)
    except Exception:  # a boundary: any error of the database means that the server is unhealthy
        log.exception("the database does not answer")
        return False
    return True


ROUTES = (
    Route("GET", "/health/live", get_live, is_open=True),
    Route("GET", "/health/ready", get_ready, is_open=True, shape=Shape.TEXT),
)
