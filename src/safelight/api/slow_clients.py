"""Clients that send slowly or not at all hold a connection, and no more of it than is allowed here.

A request's headers must be there some seconds after its first byte (for the first request: after the connection). A
body must come at :data:`LEAST_BYTES_PER_S` on average after a time of grace: what counts is the time that the server
waits for the client, and not what it does with the bytes meanwhile.
"""

import asyncio
import time

from starlette.types import Message, Receive
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from safelight.api.errors import TooSlow

LEAST_BYTES_PER_S = 8 * 1024


class SlowBody(TooSlow):
    def __init__(self) -> None:
        super().__init__(f"The body came too slowly: at least {LEAST_BYTES_PER_S} bytes a second are expected")


class PatientHttp(HttpToolsProtocol):
    """uvicorn's protocol, which by itself waits for headers for ever. Mutable: the timer of those that it waits for."""

    headers_s: float
    _headers_are_late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._headers_are_late is None:
            self._wait_for_headers()

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        super().on_headers_complete()

    def _wait_for_headers(self) -> None:
        self._headers_are_late = asyncio.get_running_loop().call_later(self.headers_s, self._give_up)

    def _stop_waiting(self) -> None:
        if self._headers_are_late is not None:
            self._headers_are_late.cancel()
            self._headers_are_late = None

    def _give_up(self) -> None:
        self._headers_are_late = None
        self.transport.abort()


def patient_http(*, headers_s: float) -> type[PatientHttp]:
    """For ``uvicorn.Config(http=...)``."""
    return type("PatientHttp", (PatientHttp,), {"headers_s": headers_s})


class PatientReceive:
    """``receive`` of one request. Raises :class:`SlowBody`. Mutable: what came, and how long it was waited for."""

    def __init__(self, receive: Receive, *, grace_s: float) -> None:
        self._receive = receive
        self._grace_s = grace_s
        self._waited_s = 0.0
        self._bytes = 0
        self._is_whole = False

    async def __call__(self) -> Message:
        if self._is_whole:  # whoever asks now waits for the end of the connection
            return await self._receive()
        left_s = self._grace_s + self._bytes / LEAST_BYTES_PER_S - self._waited_s
        start = time.monotonic()
        try:
            async with asyncio.timeout(max(left_s, 0.0)):
                message = await self._receive()
        except TimeoutError:
            raise SlowBody from None
        self._waited_s += time.monotonic() - start
        self._bytes += len(message.get("body", b""))
        self._is_whole = not message.get("more_body", False)
        return message
