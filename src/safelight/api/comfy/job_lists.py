"""Cached responses of ``/api/jobs``. The web UI requests its lists at every ``status``, in each tab.

A list changes only with the owner's durable job events. The bus publishes those before the write returns, so a client
that knows of a change never gets an older list. Concurrent requests for the same list share one read.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable

from safelight.api.comfy.revisions import Revisions
from safelight.bus.bus import Bus
from safelight.core.event import (
    CancelRequested,
    Event,
    EventsMissed,
    JobEnded,
    JobForgotten,
    JobQueued,
    JobRequeued,
    JobStarted,
)
from safelight.core.ids import UserId

KEPT_LISTS = 128
LARGEST_KEPT = 256 * 1024
"""Bytes of the largest list that is cached."""

_CHANGES = (JobQueued, JobStarted, JobRequeued, CancelRequested, JobEnded, JobForgotten)


class JobLists:
    """Mutable: encoded lists by owner and query, each with the revision of the owner's jobs that it shows."""

    def __init__(self, bus: Bus) -> None:
        self._changes = Revisions()
        self._lists: OrderedDict[tuple[UserId, Hashable], tuple[int, asyncio.Future[bytes]]] = OrderedDict()
        bus.subscribe(self._on_event)

    async def get(self, owner: UserId, query: Hashable, make: Callable[[], Awaitable[bytes]]) -> bytes:
        """The cached list if nothing has changed since, else what ``make`` returns."""
        key, revision = (owner, query), self._changes.of(owner)
        known = self._lists.get(key)
        if known is not None and known[0] == revision:
            self._lists.move_to_end(key)
            return await asyncio.shield(known[1])
        making = asyncio.ensure_future(make())
        self._lists[key] = (revision, making)
        making.add_done_callback(lambda made: self._keep_or_drop(key, made))
        return await asyncio.shield(making)

    def _keep_or_drop(self, key: tuple[UserId, Hashable], made: "asyncio.Future[bytes]") -> None:
        is_worth_keeping = not made.cancelled() and made.exception() is None and len(made.result()) <= LARGEST_KEPT
        known = self._lists.get(key)
        if known is not None and known[1] is made and not is_worth_keeping:
            del self._lists[key]
        while len(self._lists) > KEPT_LISTS:
            self._lists.popitem(last=False)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, EventsMissed):
            self._lists.clear()
        if isinstance(event, _CHANGES):
            self._changes.increment(event.owner_id)
