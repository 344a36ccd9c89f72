"""Reading the rest of a request body before an early response such as 413, so that the response reaches the client.

Most clients send the whole body before they read the response. If the server closed the connection earlier, they would
see a connection reset instead. So the rest of the body is read and dropped first, up to a limit.
"""

import asyncio

from starlette.types import Message, Receive, Scope, Send

from safelight.core.errors import SafelightError

MOST_BYTES = 256 * 1024 * 1024
LONGEST_S = 10.0


class Draining:
    """``receive`` and ``send`` of one request. Mutable: whether the whole body was received."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        headers = dict(scope["headers"])
        has_body = headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
        # A client that waits for "100 Continue" sends nothing until the server reads.
        self._waits_for_continue = headers.get(b"expect", b"").lower() == b"100-continue"
        self._is_whole = not has_body

    async def receive(self) -> Message:
        self._waits_for_continue = False
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            self._is_whole = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and not self._is_whole and not self._waits_for_continue:
            await self._drain()
        await self._send(message)

    async def _drain(self) -> None:
        left = MOST_BYTES
        try:
            async with asyncio.timeout(LONGEST_S):
                while left > 0 and not self._is_whole:
                    left -= len((await self.receive()).get("body", b""))
        except (TimeoutError, SafelightError):
            return
