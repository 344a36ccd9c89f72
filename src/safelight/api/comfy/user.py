"""The caller, for the web UI. Identity comes from credentials, never from the name that a client sends."""

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.responses import json_response
from safelight.core.errors import Forbidden


async def get_user(app: App, request: ApiRequest) -> Response:
    return json_response({"id": request.who.user_id, "status": "active"})


async def get_users_info(app: App, request: ApiRequest) -> Response:
    """ComfyUI's single-user form: the web UI then shows no user picker, whose choice would prove nothing."""
    return json_response({"storage": "server", "migrated": True})


async def create_user(app: App, request: ApiRequest) -> Response:
    """Always refused. ComfyUI creates users by name, without a password; here the command line does (HTTP-9)."""
    raise Forbidden("users are created by the administrator on the command line")
