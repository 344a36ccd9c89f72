"""One ``/ws`` connection from its handshake to its end: a reader for the client's first message, and a sender."""

import asyncio
import logging
import uuid
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from safelight.api.app import App
from safelight.api.auth import Authenticator
from safelight.api.comfy.frame import Frame, text_frame
from safelight.api.comfy.hub import Socket
from safelight.api.comfy.messages import status
from safelight.api.comfy.system import features
from safelight.api.origin import Origins
from safelight.core.errors import Forbidden
from safelight.core.ids import ClientId
from safelight.core.user import Principal
from safelight.services import job as jobs

log = logging.getLogger(__name__)

MAX_CLIENT_ID = 256
MAX_MESSAGE_BYTES = 64 * 1024
"""Maximum size of a client's message; only ``feature_flags`` is read."""
GOING_AWAY, UNAUTHORIZED, TRY_AGAIN = 1001, 1008, 1013
RECHECK_S = 60.0


async def serve_socket(
    app: App, scope: Scope, receive: Receive, send: Send, *, authenticator: Authenticator, origins: Origins
) -> None:
    websocket = WebSocket(scope, receive, send)
    try:
        await origins.check(websocket)
    except Forbidden:
        await _deny(websocket, 403)
        return
    principal = await authenticator.authenticate(websocket)
    if principal is None:
        await _deny(websocket, 401)
        return
    await websocket.accept()
    await _Connection(app, websocket, principal, authenticator).run()


class _Connection:
    """Mutable: whether the client has sent its first message, the only one that may announce its features; the close
    code."""

    def __init__(self, app: App, websocket: WebSocket, principal: Principal, authenticator: Authenticator) -> None:
        self._app = app
        self._websocket = websocket
        self._authenticator = authenticator
        requested = websocket.query_params.get("clientId", "")
        client_id = ClientId(requested if 0 < len(requested) <= MAX_CLIENT_ID else uuid.uuid4().hex)
        self._closed = asyncio.Event()
        self._socket = Socket(principal, client_id, close=self._closed.set)
        self._has_sent_first = False
        self._end_code = GOING_AWAY

    async def run(self) -> None:
        if not self._app.hub.add(self._socket):
            await self._websocket.close(TRY_AGAIN, "too many sockets")
            return
        try:
            await self._send_state()
            await _first_to_end(self._read(), self._send(), self._closed.wait(), self._until_unauthorized())
        except (WebSocketDisconnect, OSError):
            pass  # the client has disconnected
        finally:
            self._app.hub.remove(self._socket)
            if self._closed.is_set():
                with suppress(Exception):
                    await asyncio.wait_for(self._websocket.close(self._end_code), timeout=1)

    async def _until_unauthorized(self) -> None:
        """Authenticate again when credentials were revoked, and every :data:`RECHECK_S`, since sessions expire."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._authenticator.changed(), timeout=RECHECK_S)
            if await self._authenticator.authenticate(self._websocket) != self._socket.principal:
                self._end_code = UNAUTHORIZED
                self._closed.set()
                return

    async def _send_state(self) -> None:
        """Send the state. Events that arrived after the socket was added wait in its outbox and are sent later."""
        who = self._socket.principal
        remaining = await self._app.db.read(lambda tx: jobs.remaining(tx, who))
        await self._write(status(remaining, sid=self._socket.client_id))
        for frame in self._app.hub.snapshot(self._socket):
            await self._write(frame)

    async def _read(self) -> None:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            if text is not None and not self._has_sent_first:
                self._has_sent_first = True
                self._read_flags(text)

    def _read_flags(self, text: str) -> None:
        """Read ``feature_flags``, which counts as the first message only; all others are ignored, as in ComfyUI."""
        try:
            message: Any = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return
        if not isinstance(message, dict) or message.get("type") != "feature_flags":
            return
        flags = message.get("data")
        self._socket.is_rich = isinstance(flags, dict) and flags.get("supports_preview_metadata") is True
        self._socket.outbox.put(text_frame("feature_flags", features(self._app.settings)))

    async def _send(self) -> None:
        while True:
            await self._write(await self._socket.outbox.get())

    async def _write(self, frame: Frame) -> None:
        kind = "text" if isinstance(frame.payload, str) else "bytes"
        await self._websocket.send({"type": "websocket.send", kind: frame.payload})


async def _first_to_end(*parts: Coroutine[Any, Any, Any]) -> None:
    """Run all until one ends; raise what that one raised."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _deny(websocket: WebSocket, code: int) -> None:
    """Refuse the handshake: by an HTTP response where the server supports that, else by a close, which means 403."""
    if "websocket.http.response" in websocket.scope.get("extensions", {}):
        await websocket.send_denial_response(Response(status_code=code))
    else:
        await websocket.close()
