"""A response of server-sent events. It ends when its source ends or its client disconnects."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from safelight.api.responses import encode_json


def frame(name: str, data: Any) -> bytes:
    """One event: its name, and its data as JSON in one line."""
    return b"event: " + name.encode() + b"\ndata: " + encode_json(data) + b"\n\n"


def comment() -> bytes:
    """A line without meaning, so that neither the client nor a proxy takes the connection for dead."""
    return b": \n\n"


class EventStream(Response):
    """``frames``: encoded events. ``close``: called once, when the response is over."""

    media_type = "text/event-stream"

    def __init__(self, frames: AsyncIterator[bytes], *, close: Callable[[], None]) -> None:
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._frames = frames
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if scope["method"] == "HEAD":
                await send({"type": "http.response.body", "body": b""})
                return
            sending = asyncio.create_task(self._send(send))
            leaving = asyncio.create_task(_disconnected(receive))
            try:
                done, _ = await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
                if sending in done:
                    sending.result()
            finally:
                sending.cancel()
                leaving.cancel()
                await asyncio.gather(sending, leaving, return_exceptions=True)
        finally:
            self._close()

    async def _send(self, send: Send) -> None:
        async for chunk in self._frames:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
