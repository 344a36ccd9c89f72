"""A client of an event stream, against the ASGI application itself."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from starlette.types import ASGIApp, Message
from tests.api.client import scope_of

Frame = tuple[str, Any]


class EventClient:
    """``status``: of the response, once :meth:`open` has returned. Mutable: whether it reads."""

    def __init__(self, app: ASGIApp, path: str, headers: Mapping[str, str] | None = None) -> None:
        self._scope = scope_of("http", path, {"host": "127.0.0.1:8188", **(headers or {})}) | {
            "method": "GET",
            "client": ("127.0.0.1", 1),
        }
        self._app = app
        self._sent: asyncio.Queue[Message] = asyncio.Queue()
        self._reads = asyncio.Event()
        self._reads.set()
        self._left = asyncio.Event()
        self._rest = b""
        self.status = 0
        self.chunks = 0

    async def open(self) -> "EventClient":
        first = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Message:
            if first:
                return first.pop()
            await self._left.wait()
            return {"type": "http.disconnect"}

        self.task = asyncio.create_task(self._app(self._scope, receive, self._take))
        start = await asyncio.wait_for(self._sent.get(), 60)
        self.status = start["status"]
        self.headers = {name.decode(): value.decode() for name, value in start["headers"]}
        return self

    async def _take(self, message: Message) -> None:
        await self._reads.wait()
        self.chunks += 1
        self._sent.put_nowait(message)

    def stop_reading(self) -> None:
        """The server's sends do not return until :meth:`read_again`."""
        self._reads.clear()

    def read_again(self) -> None:
        self._reads.set()

    async def frames(self) -> list[Frame]:
        """All frames until the end of the stream."""
        found: list[Frame] = []
        while (some := await self.some()) is not None:
            found += some
        return found

    async def some(self) -> list[Frame] | None:
        """The frames of the next chunk; ``None`` at the end. A comment is the frame ``("", None)``."""
        message = await asyncio.wait_for(self._sent.get(), 60)
        self._rest += message.get("body", b"")
        *whole, self._rest = self._rest.split(b"\n\n")
        if not message.get("more_body"):
            assert not self._rest
        frames = [_frame(part.decode()) for part in whole]
        return frames if message.get("more_body") else None

    async def until(self, name: str, **data: Any) -> list[Frame]:
        """All frames up to one of that name whose data has these values."""
        found: list[Frame] = []
        while (some := await self.some()) is not None:
            found += some
            if any(n == name and all(d.get(k) == v for k, v in data.items()) for n, d in some):
                return found
        raise AssertionError(f"the stream ended without {name} {data}: {found}")

    async def leave(self) -> None:
        self._left.set()
        await asyncio.wait_for(self.task, 60)


def _frame(text: str) -> Frame:
    if text.startswith(":"):
        return "", None
    lines = dict(line.split(": ", 1) for line in text.split("\n"))
    return lines["event"], json.loads(lines["data"])
