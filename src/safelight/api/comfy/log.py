"""The server's log: all of it for administrators, and the lines of their own jobs for other users."""

from collections.abc import Sequence
from datetime import datetime

from starlette.responses import PlainTextResponse, Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.responses import json_response
from safelight.core.clock import to_ms
from safelight.core.ids import ClientId


async def get_internal_logs(app: App, request: ApiRequest) -> Response:
    return PlainTextResponse("".join(f"{at.isoformat()} - {text}" for at, text in _entries(app, request)))


async def get_internal_logs_raw(app: App, request: ApiRequest) -> Response:
    """``size`` is that of a terminal: a constant, since a log has none. The web UI reads ``row``, the contract has
    ``rows``."""
    entries = [{"t": to_ms(at), "m": text} for at, text in _entries(app, request)]
    return json_response({"entries": entries, "size": {"cols": 120, "rows": 40, "row": 40}})


async def subscribe_to_logs(app: App, request: ApiRequest) -> Response:
    """The subscription ends with the socket. The hub decides which lines the socket gets."""
    app.hub.listen_to_logs(request.who, client_id=ClientId(request.body["clientId"]), enabled=request.body["enabled"])
    return Response()


def _entries(app: App, request: ApiRequest) -> Sequence[tuple[datetime, str]]:
    return app.logs.entries(owner=None if request.who.is_admin else request.who.user_id)
