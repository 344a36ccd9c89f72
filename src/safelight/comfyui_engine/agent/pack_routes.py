"""The HTTP routes of node packs in ComfyUI's own application, served on behalf of the server.

Only routes whose handlers are code of a node pack are offered: ComfyUI's own routes know neither owners nor quotas, and
those of its package manager change the installation.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

RESPONSE_S = 60.0
MAX_BODY_BYTES = 128 * 1024 * 1024
DENIED = frozenset({"manager", "customnode", "externalmodel", "snapshot", "comfyui_manager"})
"""First segments of paths that change the installation."""
request_id: ContextVar[int | None] = ContextVar("safelight_request", default=None)
"""The request that the current code serves: messages that it sends go to the user who sent the request."""

_HEADER = "Safelight-Request"
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "upgrade", "content-length", "date"})


class PackRoutes:
    """Mutable: a client of the application, once :meth:`open` was called."""

    def __init__(self, app: Any, pack_folders: list[Path], *, left_out: Path) -> None:
        """``app``: ComfyUI's application, not yet started. ``left_out``: the agent's own folder."""
        self._app = app
        self._folders = [folder.resolve() for folder in pack_folders]
        self._left_out = left_out.resolve()
        self._session: Any = None
        app.middlewares.append(_remember_request())
        app._client_max_size = max(getattr(app, "_client_max_size", 0), MAX_BODY_BYTES)

    def routes(self) -> Iterator[dict[str, str]]:
        """Yield the routes of packs: a method, a pattern of whole decoded paths, and the name of the pack."""
        for route in self._app.router.routes():
            resource = route.resource
            info = resource.get_info() if resource is not None else {}
            if "directory" in info:
                pack = self._pack_of(Path(info["directory"]))
                path = str(info.get("prefix", ""))
                pattern = f"{re.escape(path.rstrip('/'))}/.+"
                if path.startswith("/extensions/"):
                    continue  # web files of packs are served by the server itself
            else:
                pack = self._pack_of(_source_of(route.handler))
                path = str(info.get("path", info.get("formatter", "")))
                pattern = info["pattern"].pattern if "pattern" in info else re.escape(path)
            if pack is not None and not _is_denied(path):
                yield {"method": route.method, "pattern": pattern, "pack": pack}

    async def open(self, sock: str) -> None:
        """``sock``: the path of the socket on which the application is served."""
        import aiohttp

        self._session = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(path=sock, limit=0),
            timeout=aiohttp.ClientTimeout(total=RESPONSE_S),
            cookie_jar=aiohttp.DummyCookieJar(),  # one user's cookie must not go with another user's request
            auto_decompress=False,
        )

    async def get(self, path: str) -> Any:
        """What ComfyUI itself answers at ``path``."""
        async with self._session.get(f"http://comfyui{path}", timeout=None) as response:
            return await response.json()

    async def answer(self, message: Mapping[str, Any], post: Callable[[dict[str, Any]], None]) -> None:
        """Answer a request of the server."""
        number = message["request_id"]
        try:
            answer = await self._forward(message)
        except Exception as error:  # a boundary: a pack's handler may raise anything
            logging.warning("%s %s of a node pack failed: %r", message["method"], message["path"], error)
            answer = {"status": 502, "headers": [], "body": b"The node pack did not answer"}
        post({"type": "PackResponse", "request_id": number, **answer})

    async def _forward(self, message: Mapping[str, Any]) -> dict[str, Any]:
        from yarl import URL

        url = URL(f"http://comfyui{message['path']}", encoded=True)
        if not self._is_offered(message["method"], url.path):
            return {"status": 404, "headers": [], "body": b""}
        headers = [(str(name), str(value)) for name, value in message.get("headers", ())]
        async with self._session.request(
            message["method"],
            url,
            headers=[*headers, (_HEADER, str(message["request_id"]))],
            data=message.get("body", b"") or None,
            allow_redirects=False,
        ) as response:
            body = await response.content.read(MAX_BODY_BYTES + 1)
            while len(body) <= MAX_BODY_BYTES and (more := await response.content.read(MAX_BODY_BYTES)):
                body += more
            if len(body) > MAX_BODY_BYTES:
                raise ValueError(f"the response has more than {MAX_BODY_BYTES} bytes")
            written = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in response.raw_headers]
            kept = [[name, value] for name, value in written if name.lower() not in _HOP_BY_HOP]
            return {"status": response.status, "headers": kept, "body": body}

    def _is_offered(self, method: str, path: str) -> bool:
        methods = {method, "*"} | ({"GET"} if method == "HEAD" else set())
        return any(one["method"] in methods and re.fullmatch(one["pattern"], path) for one in self.routes())

    def _pack_of(self, path: Path | None) -> str | None:
        """The name of the pack that a file or folder belongs to."""
        if path is None:
            return None
        place = Path(os.path.realpath(path))
        if place.is_relative_to(self._left_out):
            return None
        for folder in self._folders:
            if place.is_relative_to(folder) and place != folder:
                return place.relative_to(folder).parts[0]
        return None


def _source_of(handler: Any) -> Path | None:
    """The file with the code of a handler."""
    while hasattr(handler, "func"):
        handler = handler.func  # a functools.partial
    handler = inspect.unwrap(handler)
    try:
        return Path(inspect.getfile(handler))
    except TypeError:
        module = inspect.getmodule(handler)
        return Path(module.__file__) if module is not None and module.__file__ else None


def _is_denied(path: str) -> bool:
    segments = [segment for segment in path.split("/") if segment]
    while segments and segments[0] in ("api", "v2"):
        segments.pop(0)
    return not segments or segments[0].lower() in DENIED


def _remember_request() -> Any:
    from aiohttp import web

    @web.middleware
    async def middleware(request: Any, handler: Any) -> Any:
        """Know the request whose handler, or a task that it starts, sends a message."""
        number = request.headers.get(_HEADER)
        request_id.set(int(number) if number is not None and number.isdecimal() else None)
        return await handler(request)

    return middleware


async def serve(app: Any, path: str) -> None:
    """Serve ComfyUI's application on a Unix socket instead of a TCP port."""
    from aiohttp import web

    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.UnixSite(runner, path).start()
    await asyncio.to_thread(os.chmod, path, 0o600)
