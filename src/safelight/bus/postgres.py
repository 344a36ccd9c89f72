"""The bus of several servers on one PostgreSQL: all receive the events that one publishes.

Events of a transaction are sent with its commit (``NOTIFY`` is part of it), so that no commit is missed by another
server. Events outside transactions, such as progress, are sent with the next commit, or after ``BATCH_S`` with a commit
of their own; so the order of a publisher is the order of its commits. Of several events with the same key that wait
for a commit, only the latest is sent.

The image of a preview is too large for a notification. It is stored in an unlogged row of the job, and read by those
servers where somebody watches the job.
"""

import asyncio
import base64
import logging
import zlib
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from safelight.bus import codec
from safelight.bus.bus import EventListener
from safelight.bus.memory import MemoryBus
from safelight.core.errors import SafelightError, Unavailable
from safelight.core.event import CallProgressed, CallReported, Event, EventsMissed, JobEnded, PreviewMade, TextShown
from safelight.core.ids import JobId, UserId
from safelight.db import notices
from safelight.db.engine import Database
from safelight.db.transaction import Transaction

log = logging.getLogger(__name__)

BATCH_S = 0.05
LARGEST_NOTICE = 7_600
"""Characters of one ``NOTIFY``; PostgreSQL's limit is just below 8,000 bytes."""
KEPT_ENDS = 4_096
RETRY_S = 0.5
AWAY_S = 2.0
"""Pause after a commit that failed, before events outside transactions are sent again. Those that waited are lost."""

SKEW_S = 30.0
"""Largest difference between the clocks of servers."""

Recover = Callable[[datetime], Awaitable[Sequence[Event]]]


class PostgresBus:
    """Mutable: the events that wait to be sent, and those received that wait to be published here.

    ``name``: of this server among its peers. The database calls :meth:`on_commit` and :meth:`announce`;
    :meth:`start` begins to listen.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._local = MemoryBus()
        self._pending: OrderedDict[Hashable, Event] = OrderedDict()
        self._serial = 0
        self._must_send = asyncio.Event()
        self._parts: dict[str, list[str]] = {}
        self._inbox: deque[bytes | datetime] = deque()
        self._has_received = asyncio.Event()
        self._ended: OrderedDict[JobId, None] = OrderedDict()
        self._tasks: list[asyncio.Task[None]] = []
        self._is_watched: Callable[[UserId], bool] = lambda owner: True
        self.subscribe(self._remember)

    # -- the port --

    def publish(self, events: Sequence[Event]) -> None:
        self._local.publish(events)
        for event in events:
            key = _key(event)
            if key is None:
                self._serial += 1
                key = self._serial
            self._pending.pop(key, None)
            self._pending[key] = event
        self._must_send.set()

    def subscribe(self, listener: EventListener) -> Callable[[], None]:
        return self._local.subscribe(listener)

    # -- for the database --

    def on_commit(self, events: Sequence[Event]) -> None:
        """Publish events here that were announced with the commit."""
        self._local.publish(events)

    def announce(self, tx: Transaction, events: Sequence[Event]) -> None:
        """Send events to the other servers, with the commit that ``tx`` is about to make."""
        pending, self._pending = self._pending, OrderedDict()
        sent = [self._shown(tx, event) for event in (*pending.values(), *events)]
        if not sent:
            return
        body = base64.b85encode(zlib.compress(codec.encode(sent), 1)).decode("ascii")
        pieces = [body[start : start + LARGEST_NOTICE] for start in range(0, len(body), LARGEST_NOTICE)]
        for number, piece in enumerate(pieces, 1):
            notices.notify(tx.conn, f"{self._name} {number}/{len(pieces)} {piece}")

    # -- start and stop --

    async def start(self, db: Database, *, url: str, recover: Recover, is_watched: Callable[[UserId], bool]) -> None:
        """``recover``: returns the durable events since a time, some of which may have been missed. ``is_watched``:
        whether a socket here shows a user's previews. Raises :class:`Unavailable`."""
        self._is_watched = is_watched
        listener = await notices.Listener.open(url, self._received)
        self._tasks = [
            asyncio.create_task(self._send_pending(db), name="bus-send"),
            asyncio.create_task(self._publish_received(db, recover), name="bus-receive"),
            asyncio.create_task(self._listen(listener, url), name="bus-listen"),
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- sending --

    def _shown(self, tx: Transaction, event: Event) -> Event:
        if isinstance(event, CallReported) and isinstance(event.event, PreviewMade):
            notices.keep_preview(tx.conn, event.job_id, image=event.event.image)
            return replace(event, event=replace(event.event, image=b""))
        if isinstance(event, JobEnded):
            notices.drop_preview(tx.conn, event.job_id)
        return event

    async def _send_pending(self, db: Database) -> None:
        while True:
            await self._must_send.wait()
            await asyncio.sleep(BATCH_S)
            self._must_send.clear()
            if self._pending:
                try:
                    await db.write(lambda tx: None, is_durable=False)
                except SafelightError:  # the database has logged it, and log lines are events too: wait
                    await asyncio.sleep(AWAY_S)

    # -- receiving --

    async def _listen(self, listener: notices.Listener, url: str) -> None:
        """After a connection has broken, events may be missed until the next one listens."""
        try:
            while True:
                await listener.ended()
                log.warning("the connection that receives events of other servers broke; connecting again")
                since = listener.alive_at - timedelta(seconds=SKEW_S)
                await listener.close()
                self._parts.clear()
                listener = await self._listen_again(url)
                self._inbox.append(since)
                self._has_received.set()
        finally:
            await listener.close()

    async def _listen_again(self, url: str) -> notices.Listener:
        while True:
            try:
                return await notices.Listener.open(url, self._received)
            except Unavailable:
                await asyncio.sleep(RETRY_S)

    def _received(self, notice: str) -> None:
        try:
            name, place, piece = notice.split(" ", 2)
            number, total = map(int, place.split("/"))
        except ValueError:
            log.warning("ignored a notification that is not from a server of this version")
            return
        if name == self._name:
            return
        parts = self._parts.setdefault(name, [])
        if number != len(parts) + 1:
            parts.clear()
        if number == len(parts) + 1:
            parts.append(piece)
        if len(parts) == total:
            del self._parts[name]
            self._inbox.append("".join(parts).encode("ascii"))
            self._has_received.set()

    async def _publish_received(self, db: Database, recover: Recover) -> None:
        while True:
            await self._has_received.wait()
            self._has_received.clear()
            while self._inbox:
                mail = self._inbox.popleft()
                try:
                    events = _decode(mail) if isinstance(mail, bytes) else await self._missed(recover, mail)
                    for event in events:
                        if isinstance(event, CallReported) and isinstance(event.event, PreviewMade):
                            await self._show_preview(db, event, event.event)
                        else:
                            self._local.publish([event])
                except Exception:  # a boundary: later events must still be received
                    log.exception("events of another server could not be read")

    async def _missed(self, recover: Recover, since: datetime) -> Sequence[Event]:
        while True:
            try:
                found = await recover(since)
                break
            except Unavailable:
                await asyncio.sleep(RETRY_S)
        return [EventsMissed(), *(e for e in found if not isinstance(e, JobEnded) or e.job_id not in self._ended)]

    async def _show_preview(self, db: Database, event: CallReported, preview: PreviewMade) -> None:
        if not self._is_watched(event.owner_id):
            return
        image = await db.read(lambda tx: notices.load_preview(tx.conn, event.job_id))
        if image is not None:
            self._local.publish([replace(event, event=replace(preview, image=image))])

    def _remember(self, event: Event) -> None:
        if isinstance(event, JobEnded):
            self._ended[event.job_id] = None
            if len(self._ended) > KEPT_ENDS:
                self._ended.popitem(last=False)


def _key(event: Event) -> Hashable | None:
    """Of events with the same key, only the latest is sent."""
    match event:
        case CallReported(event=CallProgressed() | TextShown() as reported):
            return type(reported), event.job_id, reported.call.id
        case CallReported(event=PreviewMade()):
            return PreviewMade, event.job_id
    return None


def _decode(body: bytes) -> Sequence[Event]:
    return codec.decode(zlib.decompress(base64.b85decode(body)))
