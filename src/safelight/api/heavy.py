"""CPU work of requests that would block everybody else: decoding a large body, validating a large graph.

It runs in one thread, a piece at a time. Each user has at most one piece in the queue, so a user who sends many delays
only their own. After each piece the thread rests for a multiple of the time that the piece took, so the interpreter's
lock is free most of the time whatever clients send.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar
from weakref import WeakValueDictionary

from safelight.core.ids import UserId

T = TypeVar("T")

LARGE_BODY_BYTES = 256 * 1024
"""Bytes above which a body is heavy. One of this size is decoded in about a millisecond."""
REST = 3.0
"""Seconds of rest for each second of work."""
LONGEST_REST_S = 1.0


class HeavyWork:
    """Mutable: the queue of each user. For one event loop."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="heavy")
        self._turn = asyncio.Lock()
        self._of_user: WeakValueDictionary[UserId | None, asyncio.Lock] = WeakValueDictionary()

    async def run(self, owner_id: UserId | None, work: Callable[[], T], *, is_heavy: bool) -> T:
        """Return or raise what ``work`` does. Work that is not heavy runs here, without waiting.

        ``owner_id``: the user who requested it, ``None`` if not signed in. Work that has not started when the caller is
        cancelled is dropped.
        """
        if not is_heavy:
            return work()
        lock = self._of_user.get(owner_id) or self._of_user.setdefault(owner_id, asyncio.Lock())
        async with lock:
            await self._turn.acquire()
            running = self._thread.submit(work)
            running.add_done_callback(self._rest_after(time.monotonic()))
            return await asyncio.wrap_future(running)

    def stop(self) -> None:
        """Drop the work that has not started; what runs finishes in the background."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _rest_after(self, begun: float) -> Callable[["Future[T]"], None]:
        loop = asyncio.get_running_loop()

        def rest(_: "Future[T]") -> None:
            rest_s = min((time.monotonic() - begun) * REST, LONGEST_REST_S)
            loop.call_soon_threadsafe(loop.call_later, rest_s, self._turn.release)

        return rest
