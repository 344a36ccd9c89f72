"""An id for every request to Comfy API v2: its clients show the id in their errors, and the server's log names it with
each answer of status 500 and above."""

import logging
import secrets

from starlette.types import Message, Scope, Send

log = logging.getLogger(__name__)

V2_PREFIX = "/api/v2/"
HEADER = b"x-comfy-request-id"


def with_request_id(scope: Scope, send: Send) -> Send:
    """``send`` with the header in the response, for a request to Comfy API v2; else ``send`` itself."""
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    if not path.startswith(V2_PREFIX):
        return send
    request_id = f"req_{secrets.token_hex(12)}"

    async def send_with_id(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), (HEADER, request_id.encode())]}
            if message["status"] >= 500:
                log.warning("%s: %s %s was answered with %d", request_id, scope["method"], path, message["status"])
        await send(message)

    return send_with_id
