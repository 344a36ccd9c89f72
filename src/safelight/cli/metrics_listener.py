"""The listener of its own on which a scraper reads ``/metrics`` without credentials.

Its address is the operator's choice, and should be one that only the scraper reaches.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import uvicorn
from starlette.types import Receive, Scope, Send

from safelight.cli.quiet_server import QuietServer
from safelight.telemetry.metrics import CONTENT_TYPE


class MetricsListener:
    """Mutable: its server. Made inside the event loop; ended by :meth:`stop`."""

    def __init__(self, listener: socket.socket, *, render: Callable[[], Awaitable[bytes]]) -> None:
        """``render``: returns the text of all metrics."""
        self._render = render
        config = uvicorn.Config(
            self._answer,
            interface="asgi3",
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=False,
        )
        self._server = QuietServer(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))

    async def stop(self) -> None:
        self._server.should_exit = True
        await self._serving

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] == "/metrics" and scope["method"] in ("GET", "HEAD"):
            status, kind, body = 200, CONTENT_TYPE, await self._render()
        else:
            status, kind, body = 404, "text/plain; charset=utf-8", b"only /metrics is here\n"
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
