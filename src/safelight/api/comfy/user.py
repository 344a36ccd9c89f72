"""The caller, as the web UI asks for it. Identity comes from credentials, never from what a client calls itself."""

from starlette.responses import Response

from safelight.api.answers import json_response
from safelight.api.app import App
from safelight.api.call import Call
from safelight.core.errors import Forbidden


async def get_user(app: App, call: Call) -> Response:
    return json_response({"id": call.who.user_id, "status": "active"})


async def get_users_info(app: App, call: Call) -> Response:
    """ComfyUI's single-user shape: the web UI then shows no picker, whose choice would be a mere claim."""
    return json_response({"storage": "server", "migrated": True})


async def create_user(app: App, call: Call) -> Response:
    """ComfyUI makes users by name, without a password. Here accounts are made on the command line (HTTP-9)."""
    raise Forbidden("Users are made by the administrator, not over this address")
