"""CPU work of requests that would hold up everybody else: reading a large body, validating a large graph.

It runs in one thread, a piece at a time. A user has one piece in the queue, so that one who sends many delays only
their own; and after each piece the thread rests for a multiple of what the piece took, so that the interpreter's lock
is free most of the time whatever clients send.
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
"""A body above this is heavy. One of this size is read in about a millisecond."""
REST = 3.0
"""Seconds of rest for each second of work."""
LONGEST_REST_S = 1.0


class HeavyWork:
    """Mutable: whose turn it is. One event loop."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="heavy")
        self._turn = asyncio.Lock()
        self._of_user: WeakValueDictionary[UserId | None, asyncio.Lock] = WeakValueDictionary()

    async def run(self, owner_id: UserId | None, work: Callable[[], T], *, is_heavy: bool) -> T:
        """What ``work`` returns or raises; at once, and here, if it is not heavy.

        ``owner_id``: who asks for it, ``None`` for somebody who is not signed in. Work that has not begun when the
        caller is cancelled is dropped.
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
        """Finish what was begun, in the background."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _rest_after(self, begun: float) -> Callable[["Future[T]"], None]:
        loop = asyncio.get_running_loop()

        def rest(_: "Future[T]") -> None:
            rest_s = min((time.monotonic() - begun) * REST, LONGEST_REST_S)
            loop.call_soon_threadsafe(loop.call_later, rest_s, self._turn.release)

        return rest
