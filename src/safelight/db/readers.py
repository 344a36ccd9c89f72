"""The threads that read. The first runs all reads in order, as long as they are quick; the others help when one takes
longer. Threads that compete for the interpreter's lock serve small pages more slowly than one thread alone
(``docs/log.md`` has the numbers), but with only one thread a long read would delay all others.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")

HELPERS = 3
HELP_AFTER_S = 0.003
"""How long the first thread may take for one read before the others help."""


class Stop:
    """Tells a read in another thread to stop, because its caller was cancelled. Mutable."""

    __slots__ = ("is_set",)

    def __init__(self) -> None:
        self.is_set = False


Read = Callable[[Stop], T]


class Readers:
    """Mutable: the waiting reads and the busy threads. One event loop. ``begin`` and all reads run in the threads."""

    def __init__(self, *, begin: Callable[[], None]) -> None:
        self._first = ThreadPoolExecutor(1, thread_name_prefix="db-read", initializer=begin)
        self._others = ThreadPoolExecutor(HELPERS, thread_name_prefix="db-read-more", initializer=begin)
        self._waiting: deque[tuple[Read[Any], Stop, asyncio.Future[Any]]] = deque()
        self._lateness: asyncio.TimerHandle | None = None
        self._is_late = False
        self._helping = 0

    async def run(self, read: Read[T]) -> T:
        """Run ``read`` in a thread. If the caller is cancelled, a read that has not begun is dropped, and one that has
        begun is told by its :class:`Stop`."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        stop = Stop()
        self._waiting.append((read, stop, done))
        self._hand_out()
        try:
            return await done
        except asyncio.CancelledError:
            stop.is_set = True
            raise

    def stop(self) -> None:
        """Wait for the running reads. Blocks."""
        self._first.shutdown()
        self._others.shutdown()

    def _hand_out(self) -> None:
        while self._waiting:
            if self._waiting[0][1].is_set:
                self._waiting.popleft()
            elif self._lateness is None:
                self._is_late = False
                self._lateness = asyncio.get_running_loop().call_later(HELP_AFTER_S, self._be_late)
                self._start(self._first, self._first_ended)
            elif self._is_late and self._helping < HELPERS:
                self._helping += 1
                self._start(self._others, self._other_ended)
            else:
                return

    def _start(self, threads: ThreadPoolExecutor, ended: Callable[[], None]) -> None:
        read, stop, done = self._waiting.popleft()
        running = asyncio.get_running_loop().run_in_executor(threads, read, stop)
        running.add_done_callback(partial(self._ended, done, ended))

    def _ended(self, done: "asyncio.Future[Any]", ended: Callable[[], None], running: "asyncio.Future[Any]") -> None:
        ended()
        error = None if running.cancelled() else running.exception()
        if not done.done():
            if running.cancelled():
                done.cancel()
            elif error is not None:
                done.set_exception(error)
            else:
                done.set_result(running.result())
        self._hand_out()

    def _be_late(self) -> None:
        self._is_late = True
        self._hand_out()

    def _first_ended(self) -> None:
        assert self._lateness is not None
        self._lateness.cancel()
        self._lateness = None

    def _other_ended(self) -> None:
        self._helping -= 1
