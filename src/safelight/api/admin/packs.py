"""``/api/admin/packs``: the node packs of each slot, and their parts that could not be loaded."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.handler import on_leader
from safelight.api.responses import json_response
from safelight.core.errors import Forbidden
from safelight.core.pack import PackStatus


@on_leader
async def get_packs(app: App, request: ApiRequest) -> Response:
    if not request.who.is_admin:
        raise Forbidden("only administrators may see node packs and their errors")
    slots = [{"id": slot, "packs": [_pack(pack) for pack in packs]} for slot, packs in app.dispatcher.packs().items()]
    return json_response({"slots": slots})


def _pack(pack: PackStatus) -> Mapping[str, Any]:
    failures = [{"subject": subject, "reason": reason} for subject, reason in pack.failures.items()]
    return {"name": pack.name, "nodes": pack.nodes, "failures": failures}
