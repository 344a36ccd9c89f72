"""What the web UI loads beside its own files: extensions, translations, templates, blueprints, replacements."""

from starlette.responses import Response

from safelight.api.answers import json_response
from safelight.api.app import App
from safelight.api.call import Call
from safelight.core.errors import NotFound


async def get_extensions(app: App, call: Call) -> Response:
    return json_response(list(app.web.extensions()))


async def get_i18n(app: App, call: Call) -> Response:
    return json_response(app.web.translations())


async def get_workflow_templates(app: App, call: Call) -> Response:
    return json_response(app.web.workflow_templates())


async def get_workflow_template(app: App, call: Call) -> Response:
    """An example workflow of a node pack, or its picture."""
    pack, filename = call.params["pack"], call.params["filename"]
    response = await app.web.template(pack, filename, call.request)
    if response is None:
        raise NotFound(f"The node pack {pack!r} has no example {filename!r}")
    return response


async def get_global_subgraphs(app: App, call: Call) -> Response:
    return await app.web.global_subgraphs(call.request)


async def get_global_subgraph(app: App, call: Call) -> Response:
    blueprint = app.web.global_subgraph(call.params["id"])
    if blueprint is None:
        raise NotFound(f"There is no blueprint {call.params['id']!r}")
    return json_response(blueprint)


async def get_node_replacements(app: App, call: Call) -> Response:
    """Empty: every node that is missing here has no stand-in under another name."""
    return json_response({})
