"""Limits on how slowly clients may send.

A request's headers must be complete some seconds after its first byte (for the first request: after the connection was
made). A body must arrive at :data:`LEAST_BYTES_PER_S` on average, after a grace period. Only the time that the server
waits for the client counts, not the time that it needs to process the bytes.
"""

import asyncio
import time

from starlette.types import Message, Receive
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from safelight.api.error_responses import TooSlow

LEAST_BYTES_PER_S = 8 * 1024


class SlowBody(TooSlow):
    def __init__(self) -> None:
        super().__init__(f"the body arrived too slowly; send at least {LEAST_BYTES_PER_S} bytes a second")


class HeaderLimitHttp(HttpToolsProtocol):
    """uvicorn's protocol with a time limit for headers, which uvicorn lacks. Mutable: the timer of the current
    request."""

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


def http_with_header_limit(*, headers_s: float) -> type[HeaderLimitHttp]:
    """For ``uvicorn.Config(http=...)``."""
    return type("HeaderLimitHttp", (HeaderLimitHttp,), {"headers_s": headers_s})


class TimedReceive:
    """``receive`` of one request. Raises :class:`SlowBody`. Mutable: the bytes received, and the time waited for
    them."""

    def __init__(self, receive: Receive, *, grace_s: float) -> None:
        self._receive = receive
        self._grace_s = grace_s
        self._waited_s = 0.0
        self._bytes = 0
        self._is_whole = False

    async def __call__(self) -> Message:
        if self._is_whole:  # the caller now waits for the end of the connection
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
