"""The caller, as the web UI asks for it. Identity comes from credentials, never from what a client calls itself."""

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.responses import json_response
from safelight.core.errors import Forbidden


async def get_user(app: App, request: ApiRequest) -> Response:
    return json_response({"id": request.who.user_id, "status": "active"})


async def get_users_info(app: App, request: ApiRequest) -> Response:
    """ComfyUI's single-user shape: the web UI then shows no picker, whose choice would be a mere claim."""
    return json_response({"storage": "server", "migrated": True})


async def create_user(app: App, request: ApiRequest) -> Response:
    """ComfyUI makes users by name, without a password. Here accounts are made on the command line (HTTP-9)."""
    raise Forbidden("Users are made by the administrator, not over this address")
