"""``/api/object_info``: every node that can run here, as the web UI and other clients read it."""

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.comfy.node_info import ENCODINGS
from safelight.api.comfy.object_info import node_info
from safelight.api.responses import accepted_encoding, has_current, json_response
from safelight.core.errors import Unavailable

CATALOGUE_WAIT_S = 30.0
"""How long a request waits on a server's first start for a worker to say what it can run."""


async def get_node_info(app: App, request: ApiRequest) -> Response:
    await _wait(app)
    encoding = accepted_encoding(request.http, ENCODINGS)
    etag, body = await app.node_info.get(request.who, encoding=encoding)
    headers = {"etag": etag, "cache-control": "private, no-cache", "vary": "Accept-Encoding"}
    if has_current(request.http, etag):
        return Response(status_code=304, headers=headers)
    if encoding != "identity":
        headers["content-encoding"] = encoding
    return Response(body, headers=headers, media_type="application/json")


async def get_one_node_info(app: App, request: ApiRequest) -> Response:
    """``/object_info/{class}``: an empty object, not 404, for a class that is not here (clients probe so)."""
    await _wait(app)
    catalogue = await app.node_info.catalogue_of(request.who, [request.params["node_class"]])
    return json_response({name: node_info(schema) for name, schema in catalogue.items()})


async def _wait(app: App) -> None:
    if not await app.catalogue.wait_ready(CATALOGUE_WAIT_S):
        raise Unavailable("No worker has started yet, so that no node is known; try again in a moment")
