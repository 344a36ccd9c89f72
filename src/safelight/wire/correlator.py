"""Requests whose answers arrive later as messages, matched by a request id."""

import itertools
import threading
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

A = TypeVar("A")


@dataclass(frozen=True, slots=True, eq=False)
class PendingRequest(Generic[A]):
    """``answer``: wait for it in a thread with ``result()``, on an event loop with :func:`asyncio.wrap_future`."""

    id: int
    scope: Hashable
    answer: "Future[A]" = field(default_factory=Future)


class Correlator(Generic[A]):
    """Mutable: the requests that wait for an answer. Safe to use from any thread."""

    def __init__(self, *, first_id: int = 1) -> None:
        """``first_id``: a random one where the other side may still answer the requests of an earlier process."""
        self._ids = itertools.count(first_id)
        self._pending: dict[int, PendingRequest[A]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def request(self, scope: Hashable = None) -> Iterator[PendingRequest[A]]:
        """A request with a new id, which waits for its answer until the block ends. ``scope``: what answers it."""
        with self._lock:
            pending: PendingRequest[A] = PendingRequest(next(self._ids), scope)
            self._pending[pending.id] = pending
        try:
            yield pending
        finally:
            with self._lock:
                del self._pending[pending.id]

    def pending(self) -> list[PendingRequest[A]]:
        """The requests without an answer, oldest first."""
        with self._lock:
            return [pending for pending in self._pending.values() if not pending.answer.done()]

    def answer(self, request_id: int, answer: A) -> None:
        """Deliver an answer; one that nothing waits for is dropped."""
        with self._lock:
            pending = self._pending.get(request_id)
            if pending is not None and not pending.answer.done():
                pending.answer.set_result(answer)

    def fail(self, error: Callable[[], BaseException], *, scope: Hashable = None) -> None:
        """Fail the requests of ``scope`` with a new ``error`` each."""
        for pending in self.pending():
            if pending.scope == scope:
                with self._lock:
                    if not pending.answer.done():
                        pending.answer.set_exception(error())
