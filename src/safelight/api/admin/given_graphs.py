"""``/api/admin/workflows``: workflows for everybody."""

from typing import Any

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.handler import reads, writes
from safelight.api.request_body import InvalidBody
from safelight.api.responses import json_response
from safelight.core.clock import to_ms
from safelight.db.given_graph import GivenGraph
from safelight.db.transaction import Transaction
from safelight.services import given_graph as graphs


@reads
def list_graphs(tx: Transaction, request: ApiRequest) -> Any:
    graphs.require_admin(request.who)
    return {"workflows": [_entry(graph) for graph in graphs.list(tx)]}


async def give_graph(app: App, request: ApiRequest) -> Response:
    """The body is the workflow, as the web UI saves it."""
    graphs.require_admin(request.who)
    limit = app.settings.limits.max_published_bytes
    content = await request.read_json(limit=limit)
    if not isinstance(content, dict):
        raise InvalidBody("the body must be a workflow, a JSON object")
    name = request.params["name"]
    graph = await app.db.write(
        lambda tx: graphs.give(tx, request.who, name=name, content=content, max_bytes=limit, now=request.now)
    )
    return json_response(_entry(graph))


@writes(status=204)
def withdraw_graph(tx: Transaction, request: ApiRequest) -> Any:
    graphs.withdraw(tx, request.who, name=request.params["name"], now=request.now)


def _entry(graph: GivenGraph) -> dict[str, Any]:
    return {"name": graph.name, "given_by": graph.giver_name, "given_at": to_ms(graph.given_at)}
