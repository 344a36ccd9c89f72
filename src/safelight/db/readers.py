"""The threads that read. The first takes everything in turn, as long as it is quick; the others help when a read takes
longer. Threads that compete for the interpreter's lock serve small pages more slowly together than one alone does
(``docs/log.md`` has the numbers), and a long read would hold up all others in a single one.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")

HELPERS = 3
PATIENCE_S = 0.003
"""For how long the first may be at one read before the others help."""


class Readers:
    """Mutable: what waits, and who is at work. One event loop. ``begin`` and each read run in the threads."""

    def __init__(self, *, begin: Callable[[], None]) -> None:
        self._first = ThreadPoolExecutor(1, thread_name_prefix="db-read", initializer=begin)
        self._others = ThreadPoolExecutor(HELPERS, thread_name_prefix="db-read-more", initializer=begin)
        self._waiting: deque[tuple[Callable[[], Any], asyncio.Future[Any]]] = deque()
        self._lateness: asyncio.TimerHandle | None = None
        self._is_late = False
        self._helping = 0

    async def run(self, read: Callable[[], T]) -> T:
        """What ``read`` returns or raises. A caller who is cancelled does not end it."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((read, done))
        self._hand_out()
        return await done

    def stop(self) -> None:
        """Finish what was begun. Blocks."""
        self._first.shutdown()
        self._others.shutdown()

    def _hand_out(self) -> None:
        while self._waiting:
            if self._lateness is None:
                self._is_late = False
                self._lateness = asyncio.get_running_loop().call_later(PATIENCE_S, self._be_late)
                self._start(self._first, self._first_ended)
            elif self._is_late and self._helping < HELPERS:
                self._helping += 1
                self._start(self._others, self._other_ended)
            else:
                return

    def _start(self, threads: ThreadPoolExecutor, ended: Callable[[], None]) -> None:
        read, done = self._waiting.popleft()
        running = asyncio.get_running_loop().run_in_executor(threads, read)
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
