"""One ``/ws`` connection from its handshake to its end: a reader that hears a client's first words, and a sender."""

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
"""Of what a client says: only ``feature_flags`` is listened to."""
GOING_AWAY, NOT_WELCOME, TRY_AGAIN = 1001, 1008, 1013
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
    """Mutable: whether the client has said its first word, which alone may announce its features; how it ends."""

    def __init__(self, app: App, websocket: WebSocket, principal: Principal, authenticator: Authenticator) -> None:
        self._app = app
        self._websocket = websocket
        self._authenticator = authenticator
        asked = websocket.query_params.get("clientId", "")
        client_id = ClientId(asked if 0 < len(asked) <= MAX_CLIENT_ID else uuid.uuid4().hex)
        self._closed = asyncio.Event()
        self._socket = Socket(principal, client_id, close=self._closed.set)
        self._has_spoken = False
        self._end_code = GOING_AWAY

    async def run(self) -> None:
        if not self._app.hub.add(self._socket):
            await self._websocket.close(TRY_AGAIN, "too many sockets")
            return
        try:
            await self._greet()
            await _first_to_end(self._read(), self._send(), self._closed.wait(), self._until_not_welcome())
        except (WebSocketDisconnect, OSError):
            pass  # the client is gone; there is nobody to tell
        finally:
            self._app.hub.remove(self._socket)
            if self._closed.is_set():
                with suppress(Exception):
                    await asyncio.wait_for(self._websocket.close(self._end_code), timeout=1)

    async def _until_not_welcome(self) -> None:
        """Credentials are asked for again when any were taken away, and now and then: sessions run out."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._authenticator.changed(), timeout=RECHECK_S)
            if await self._authenticator.authenticate(self._websocket) != self._socket.principal:
                self._end_code = NOT_WELCOME
                self._closed.set()
                return

    async def _greet(self) -> None:
        """Events since the socket was added wait in its outbox; what is said here is at least as new."""
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
            if text is not None and not self._has_spoken:
                self._has_spoken = True
                self._hear(text)

    def _hear(self, text: str) -> None:
        """Only ``feature_flags`` means anything, and only as the first message; all else is ignored, as in ComfyUI."""
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
    """Run all until one ends; what that one raised is raised here."""
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
    """An HTTP answer instead of the handshake where the server can give one, else a close, which means 403."""
    if "websocket.http.response" in websocket.scope.get("extensions", {}):
        await websocket.send_denial_response(Response(status_code=code))
    else:
        await websocket.close()
