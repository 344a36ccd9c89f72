"""``/api/object_info``: every node that can run here, as the web UI and other clients read it."""

from starlette.responses import Response

from safelight.api.answers import accepted_encoding, has_current, json_response
from safelight.api.app import App
from safelight.api.call import Call
from safelight.api.comfy.node_info import ENCODINGS
from safelight.api.comfy.object_info import node_info
from safelight.core.errors import Unavailable

CATALOGUE_WAIT_S = 30.0
"""How long a request waits on a server's first start for a worker to say what it can run."""


async def get_node_info(app: App, call: Call) -> Response:
    await _wait(app)
    encoding = accepted_encoding(call.request, ENCODINGS)
    etag, body = await app.node_info.get(call.who, encoding=encoding)
    headers = {"etag": etag, "cache-control": "private, no-cache", "vary": "Accept-Encoding"}
    if has_current(call.request, etag):
        return Response(status_code=304, headers=headers)
    if encoding != "identity":
        headers["content-encoding"] = encoding
    return Response(body, headers=headers, media_type="application/json")


async def get_one_node_info(app: App, call: Call) -> Response:
    """``/object_info/{class}``: an empty object, not 404, for a class that is not here (clients probe so)."""
    await _wait(app)
    catalogue = await app.node_info.catalogue_of(call.who, [call.params["node_class"]])
    return json_response({name: node_info(schema) for name, schema in catalogue.items()})


async def _wait(app: App) -> None:
    if not await app.catalogue.wait_ready(CATALOGUE_WAIT_S):
        raise Unavailable("No worker has started yet, so that no node is known; try again in a moment")
