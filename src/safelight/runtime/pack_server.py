"""HTTP routes that node packs add to ``PromptServer.instance``, served in this process on behalf of the server.

aiohttp serves them as in ComfyUI, on a socket in a private folder and in an event loop of their own, so that they
respond while a node runs. The server's requests and the responses are messages. Without such routes, nothing is
started.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import re
import tempfile
import threading
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safelight.runtime.background import BackgroundLoop
from safelight.sdk.plain import plain
from safelight.shims.pack_caller import send_to_caller
from safelight.wire.messages import MAX_PACK_BODY_BYTES, PackMessage, PackRequest, PackResponse, PackRoute

if TYPE_CHECKING:
    from aiohttp import ClientSession, web

    from safelight.shims.modules.server import Route

log = logging.getLogger(__name__)

RESPONSE_S = 60.0
"""Timeout of a handler: longer than a person waits, shorter than a connection lives."""

_RESTART_S = 5
"""When clients may try again while the process restarts."""
_REQUEST_ID_HEADER = "Safelight-Request"
"""The header that identifies a request, so that messages of its handler reach its caller."""
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "upgrade", "content-length", "date"})


class PackRoutes:
    """Mutable: an application, once :meth:`serve` was called."""

    def __init__(
        self,
        collected: Iterable[Route],
        *,
        on_answer: Callable[[PackResponse | PackMessage], None],
        on_end_request: Callable[[], None],
    ) -> None:
        """``on_end_request``: called, once and in any thread, when a pack has asked for the end of this process."""
        self._on_answer = on_answer
        self._on_end_request = on_end_request
        self._is_ending = threading.Event()
        self._background = BackgroundLoop()
        self._app, self.routes = _application(collected, send_message=self._send_message, on_exit=self.end)
        self._session: ClientSession | None = None

    def serve(self) -> asyncio.AbstractEventLoop:
        """Start serving; return the event loop that the handlers run in."""
        loop: asyncio.AbstractEventLoop = self._background.submit(self._start(), contextvars.Context()).result()
        return loop

    def answer(self, request: PackRequest) -> None:
        """Handle a request in the background. Returns immediately."""
        if self._is_ending.is_set():
            self._on_answer(_restarting(request.request_id))
            return
        self._background.submit(self._respond(request), contextvars.Context())

    def end(self, called: str) -> None:
        """Answer no further request: a pack has called ``called`` to end this process, which a new one replaces."""
        if not self._is_ending.is_set():
            self._is_ending.set()
            log.warning("a node pack called %s: the worker process restarts when it has no job", called)
            self._on_end_request()

    def _send_message(self, request_id: int, name: str, data: Any, client_id: str) -> None:
        self._on_answer(PackMessage(request_id=request_id, name=name, data=plain(data), client_id=client_id))

    async def _start(self) -> asyncio.AbstractEventLoop:
        from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, UnixConnector, web

        folder = Path(tempfile.mkdtemp(prefix="safelight-routes-"))
        runner = web.AppRunner(self._app, access_log=None)
        await runner.setup()
        await web.UnixSite(runner, folder / "socket").start()
        self._session = ClientSession(
            connector=UnixConnector(str(folder / "socket")),
            timeout=ClientTimeout(total=RESPONSE_S),
            cookie_jar=DummyCookieJar(),  # one user's cookie must not be sent with another user's request
            auto_decompress=False,
        )
        return asyncio.get_running_loop()

    async def _respond(self, request: PackRequest) -> None:
        try:
            self._on_answer(await self._forward(request))
        except Exception as error:  # a boundary: a pack's handler may raise anything
            log.warning("%s %s of a node pack failed: %r", request.method, request.path, error)
            failure = PackResponse(request_id=request.request_id, status=502, body=b"The node pack did not answer")
            self._on_answer(failure)

    async def _forward(self, request: PackRequest) -> PackResponse:
        from yarl import URL

        assert self._session is not None
        url = URL(f"http://pack{request.path}", encoded=True)
        async with self._session.request(
            request.method,
            url,
            headers=[(_REQUEST_ID_HEADER, str(request.request_id)), *request.headers],
            data=request.body,
            allow_redirects=False,
        ) as response:
            body = await response.content.read(MAX_PACK_BODY_BYTES + 1)
            while not response.content.at_eof() and len(body) <= MAX_PACK_BODY_BYTES:
                body += await response.content.read(MAX_PACK_BODY_BYTES + 1 - len(body))
            if len(body) > MAX_PACK_BODY_BYTES:
                raise ValueError(f"the response is larger than {MAX_PACK_BODY_BYTES} bytes")
            written = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in response.raw_headers]
            headers = [(name, value) for name, value in written if name.lower() not in _HOP_BY_HOP]
            return PackResponse(request_id=request.request_id, status=response.status, headers=headers, body=body)


def _restarting(request_id: int) -> PackResponse:
    body = b"The node packs are restarting; try again in a few seconds"
    return PackResponse(request_id=request_id, status=503, headers=[("retry-after", str(_RESTART_S))], body=body)


def _application(
    collected: Iterable[Route],
    *,
    send_message: Callable[[int, str, Any, str], None],
    on_exit: Callable[[str], None],
) -> tuple[web.Application, list[PackRoute]]:
    """Make an application with every route at its path and below ``/api``, as in ComfyUI. Routes that aiohttp rejects
    are skipped."""
    from aiohttp import web

    @web.middleware
    async def with_caller(request: web.Request, handler: Any) -> Any:
        """Send the messages of the handler, and of tasks that it starts, to its caller."""
        request_id = int(request.headers[_REQUEST_ID_HEADER])
        send_to_caller.set(partial(send_message, request_id))
        try:
            return await handler(request)
        except SystemExit:
            on_exit("sys.exit")
            answer = _restarting(request_id)
            return web.Response(status=answer.status, headers=dict(answer.headers), body=answer.body)

    app = web.Application(client_max_size=MAX_PACK_BODY_BYTES, middlewares=[with_caller])
    routes: list[PackRoute] = []
    for route in collected:
        for path in (route.path, f"/api{route.path}"):
            try:
                routes += _add(app, route.method, path, route.handler, pack=route.pack)
            except Exception as error:
                log.warning("the route %s %s of a node pack cannot be served: %s", route.method, path, error)
    return app, routes


def _add(app: web.Application, method: str, path: str, handler: Any, *, pack: str) -> list[PackRoute]:
    if method == "STATIC":
        app.router.add_static(path, handler)
        return [PackRoute(method="GET", pattern=f"{re.escape(path.rstrip('/'))}/.+", pack=pack)]
    resource = app.router.add_route(method, path, handler).resource
    info = resource.get_info() if resource is not None else {}
    pattern = info["pattern"].pattern if "pattern" in info else re.escape(info.get("path", path))
    return [PackRoute(method=method, pattern=pattern, pack=pack)]
