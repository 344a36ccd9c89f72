"""``/api/account/packs``: the node packs of this server as every user may see them, with what could not be loaded."""

from typing import Any

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.handler import on_leader
from safelight.api.responses import json_response
from safelight.core.pack import reason_for_users


@on_leader
async def list_packs(app: App, request: ApiRequest) -> Response:
    """Each pack once, and the versions of the engines. Where slots differ, the numbers are the largest, and the
    failures those of all slots."""
    packs: dict[str, dict[str, Any]] = {}
    for statuses in app.dispatcher.packs().values():
        for status in statuses:
            shown = packs.setdefault(status.name, {"name": status.name, "nodes": 0, "failures": {}})
            shown["nodes"] = max(shown["nodes"], status.nodes)
            shown["failures"] |= {subject: reason_for_users(reason) for subject, reason in status.failures.items()}
    for shown in packs.values():
        shown["failures"] = [{"subject": subject, "reason": reason} for subject, reason in shown["failures"].items()]
    engines = sorted({info.version for info in app.dispatcher.engines() if info.version})
    return json_response({"packs": [packs[name] for name in sorted(packs)], "engines": engines})
