"""What the web UI loads in addition to its own files: extensions, translations, templates, blueprints, replacements."""

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.handler import on_leader
from safelight.api.responses import json_response
from safelight.core.errors import NotFound
from safelight.services import given_graph as given_graphs


@on_leader
async def get_extensions(app: App, request: ApiRequest) -> Response:
    return json_response(list(app.web.extensions()))


@on_leader
async def get_i18n(app: App, request: ApiRequest) -> Response:
    return json_response(app.web.translations())


FOR_EVERYBODY = "For everybody"
"""The group, among the examples of node packs, of workflows that administrators have given."""


@on_leader
async def get_workflow_templates(app: App, request: ApiRequest) -> Response:
    given = [graph.name for graph in await app.db.read(given_graphs.list)] if request.principal else []
    return json_response({**({FOR_EVERYBODY: given} if given else {}), **app.web.workflow_templates()})


async def get_workflow_template(app: App, request: ApiRequest) -> Response:
    """A workflow that was given to everybody, an example workflow of a node pack, or its picture."""
    pack, filename = request.params["pack"], request.params["filename"]
    if pack == FOR_EVERYBODY and request.principal is not None:
        return json_response(await app.db.read(lambda tx: given_graphs.read(tx, name=filename.removesuffix(".json"))))
    response = await app.web.template(pack, filename, request.http)
    if response is None:
        raise NotFound(f"the node pack {pack!r} has no example {filename!r}")
    return response


async def get_global_subgraphs(app: App, request: ApiRequest) -> Response:
    return await app.web.global_subgraphs(request.http)


async def get_global_subgraph(app: App, request: ApiRequest) -> Response:
    blueprint = app.web.global_subgraph(request.params["id"])
    if blueprint is None:
        raise NotFound(f"there is no blueprint {request.params['id']!r}")
    return json_response(blueprint)


async def get_node_replacements(app: App, request: ApiRequest) -> Response:
    """Always empty: no missing node has a replacement under another name."""
    return json_response({})
