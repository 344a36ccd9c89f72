"""Work for a client that may disconnect: it is cancelled when the connection ends, or at a deadline."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect, Request

from safelight.core.errors import Unavailable

GRACE_S = 0.1
"""The connection is watched only after this time; most requests are done by then."""


class TookTooLong(Unavailable):
    code = "deadline_exceeded"

    def __init__(self, limit_s: float) -> None:
        super().__init__(f"the request took longer than {limit_s:g} s and was cancelled")


@asynccontextmanager
async def attended(request: Request, *, limit_s: float) -> AsyncIterator[None]:
    """Cancel the work inside when the client disconnects, which raises :class:`ClientDisconnect`, or after ``limit_s``
    seconds, which raises :class:`TookTooLong`.

    The body must have been read before, if there is one: bytes that arrive meanwhile are dropped.
    """
    task = asyncio.current_task()
    assert task is not None
    watch = _Watch(request, task, limit_s)
    begin = asyncio.get_running_loop().call_later(GRACE_S, watch.begin)
    try:
        yield
    except asyncio.CancelledError:
        if watch.reason is None:
            raise
        task.uncancel()
        raise watch.reason from None
    finally:
        begin.cancel()
        watch.end()


class _Watch:
    """Mutable: the task that waits for the disconnect, and its reason for cancelling the other task."""

    def __init__(self, request: Request, task: "asyncio.Task[object]", limit_s: float) -> None:
        self._request = request
        self._task = task
        self._limit_s = limit_s
        self._waiting: asyncio.Task[None] | None = None
        self.reason: Exception | None = None

    def begin(self) -> None:
        self._waiting = asyncio.create_task(self._wait())

    def end(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self._limit_s - GRACE_S):
                while (await self._request.receive())["type"] != "http.disconnect":
                    pass
        except TimeoutError:
            self.reason = TookTooLong(self._limit_s)
        else:
            self.reason = ClientDisconnect()
        self._task.cancel()
