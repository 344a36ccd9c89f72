"""``/api/object_info``: the nodes that can run here, as the web UI and other clients read them."""

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.comfy.node_info import ENCODINGS
from safelight.api.comfy.object_info import node_info
from safelight.api.responses import accepted_encoding, has_current, json_response


async def get_node_info(app: App, request: ApiRequest) -> Response:
    await app.catalogue.wait_known()
    encoding = accepted_encoding(request.http, ENCODINGS)
    etag, body = await app.node_info.get(request.who, encoding=encoding)
    headers = {"etag": etag, "cache-control": "private, no-cache", "vary": "Accept-Encoding"}
    if has_current(request.http, etag):
        return Response(status_code=304, headers=headers)
    if encoding != "identity":
        headers["content-encoding"] = encoding
    return Response(body, headers=headers, media_type="application/json")


async def get_one_node_info(app: App, request: ApiRequest) -> Response:
    """``/object_info/{class}``: an empty object, not 404, for an unknown class (clients probe for nodes this way)."""
    await app.catalogue.wait_known()
    catalogue = await app.node_info.catalogue_of(request.who, [request.params["node_class"]])
    return json_response(
        {name: node_info(schema, app.catalogue.engines_with(name)) for name, schema in catalogue.items()}
    )
