"""An id for every HTTP request: log lines carry it, and the response names it.

Clients of Comfy API v2 read it from a header of their own, and show it in their errors.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.datastructures import Headers
from starlette.types import Message, Scope, Send

from safelight.telemetry.request_id import HEADER, current_request, request_id

log = logging.getLogger(__name__)

V2_PREFIX = "/api/v2/"
V2_HEADER = b"x-comfy-request-id"


@contextmanager
def identified(scope: Scope, send: Send) -> Iterator[Send]:
    """Yields ``send`` with the request's id in the response. Log lines of the block carry the id; one names each
    response of status 500 and above."""
    chosen = request_id(Headers(scope=scope))
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    names = [HEADER.encode(), V2_HEADER] if path.startswith(V2_PREFIX) else [HEADER.encode()]

    async def send_with_id(message: Message) -> None:
        if message["type"] == "http.response.start":
            others = [header for header in message.get("headers", ()) if header[0] not in names]  # of the leader
            message = {**message, "headers": others + [(name, chosen.encode()) for name in names]}
            if message["status"] >= 500 and not path.startswith("/health/"):  # asked again and again until it is ready
                log.warning("%s %s was answered with %d", scope["method"], path, message["status"])
        await send(message)

    before = current_request.set(chosen)
    try:
        yield send_with_id
    finally:
        current_request.reset(before)
