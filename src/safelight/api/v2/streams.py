"""Which event streams follow which jobs: one listener of the bus for all, on every server.

A stream keeps no queue. It has flags of what has changed since it last sent something, and the latest preview; what it
sends is read when its client can take it. So a client that does not read costs one connection and one picture, and
delays nobody.
"""

import asyncio
import time
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import dataclass, field

from safelight.api.v2.progress import LiveProgress
from safelight.bus.bus import Bus
from safelight.core.batch import BatchId
from safelight.core.event import (
    AccessChanged,
    BatchChanged,
    CallReported,
    Event,
    EventsMissed,
    JobEvent,
    OutputMade,
    PreviewMade,
)
from safelight.core.ids import JobId, UserId
from safelight.core.user import QuotaReached

MAX_STREAMS = 64
"""Open streams of one owner at one server."""


class TooManyStreams(QuotaReached):
    code = "too_many_streams"


@dataclass(slots=True, eq=False)
class Stream:
    """What one client has not been sent yet. Mutable; the constructor's flags make it send everything once."""

    owner_id: UserId
    has_status: bool = True
    has_progress: bool = True
    has_outputs: bool = True
    preview: PreviewMade | None = None
    is_closed: bool = False
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def change(self) -> None:
        self._changed.set()

    async def pause(self, pause_s: float) -> None:
        """Return after ``pause_s``, or when the stream is closed; meanwhile changes gather."""
        end_s = time.monotonic() + pause_s
        while not self.is_closed and (left_s := end_s - time.monotonic()) > 0:
            await self.wait(left_s)

    async def wait(self, timeout_s: float) -> None:
        """Return when something has changed, or after ``timeout_s``."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), timeout_s)
        self._changed.clear()


class Streams:
    """Mutable: the open streams by the job or the batch that they follow."""

    def __init__(self, bus: Bus) -> None:
        self.progress = LiveProgress()
        self._streams: dict[Hashable, set[Stream]] = {}
        self._previews: dict[JobId, PreviewMade] = {}
        self._unsubscribe = bus.subscribe(self._on_event)

    def open(self, owner_id: UserId, *, subject: JobId | BatchId) -> Stream:
        """Follow a job or a batch. Raises :class:`TooManyStreams`."""
        if sum(stream.owner_id == owner_id for some in self._streams.values() for stream in some) >= MAX_STREAMS:
            raise TooManyStreams(f"you have {MAX_STREAMS} event streams open; close one first", retry_after_s=5)
        stream = Stream(owner_id, preview=self._previews.get(JobId(subject)))
        self._streams.setdefault(subject, set()).add(stream)
        return stream

    def close(self, stream: Stream, *, subject: JobId | BatchId) -> None:
        some = self._streams.get(subject, set())
        some.discard(stream)
        if not some:
            self._streams.pop(subject, None)

    def has(self, owner_id: UserId) -> bool:
        return any(stream.owner_id == owner_id for some in self._streams.values() for stream in some)

    def end_all(self) -> None:
        """End every stream, without a last status: clients connect again."""
        for some in list(self._streams.values()):
            for stream in some:
                stream.is_closed = True
                stream.change()

    def stop(self) -> None:
        self._unsubscribe()
        self.end_all()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, JobEvent):
            self.progress.feed(event)
            self._keep_preview(event)
            for stream in self._streams.get(event.job_id, ()):
                _mark(stream, event)
        elif isinstance(event, BatchChanged):
            for stream in self._streams.get(event.batch_id, ()):
                stream.has_status = True
                stream.change()
        elif isinstance(event, AccessChanged):
            self.end_all()  # a credential may have been revoked
        elif isinstance(event, EventsMissed):
            for some in self._streams.values():
                for stream in some:
                    stream.has_status = stream.has_outputs = stream.has_progress = True
                    stream.change()

    def _keep_preview(self, event: JobEvent) -> None:
        """For clients that connect in the middle of the job."""
        if isinstance(event, CallReported) and isinstance(event.event, PreviewMade):
            self._previews[event.job_id] = event.event
        elif not isinstance(event, CallReported):
            self._previews.pop(event.job_id, None)


def _mark(stream: Stream, event: JobEvent) -> None:
    if not isinstance(event, CallReported):
        stream.has_status = stream.has_outputs = True
    elif isinstance(event.event, PreviewMade):
        stream.preview = event.event
    elif isinstance(event.event, OutputMade):
        stream.has_outputs = True
    else:
        stream.has_progress = True
    stream.change()
