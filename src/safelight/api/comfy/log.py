"""The server's log over HTTP, for administrators: lines may speak of any user."""

from starlette.responses import PlainTextResponse, Response

from safelight.api.answers import json_response
from safelight.api.app import App
from safelight.api.call import Call
from safelight.core.clock import to_ms
from safelight.core.errors import Forbidden
from safelight.core.ids import ClientId


async def get_internal_logs(app: App, call: Call) -> Response:
    _require_admin(call)
    return PlainTextResponse("".join(f"{at.isoformat()} - {text}" for at, text in app.logs.entries()))


async def get_internal_logs_raw(app: App, call: Call) -> Response:
    """``size`` is that of a terminal, which a log has not; the web UI reads ``row``, the contract says ``rows``."""
    _require_admin(call)
    entries = [{"t": to_ms(at), "m": text} for at, text in app.logs.entries()]
    return json_response({"entries": entries, "size": {"cols": 120, "rows": 40, "row": 40}})


async def subscribe_to_logs(app: App, call: Call) -> Response:
    """The subscription ends with the socket. What a socket then hears, the hub decides."""
    app.hub.listen_to_logs(call.who, client_id=ClientId(call.body["clientId"]), enabled=call.body["enabled"])
    return Response()


def _require_admin(call: Call) -> None:
    if not call.who.is_admin:
        raise Forbidden("The log is for administrators")
