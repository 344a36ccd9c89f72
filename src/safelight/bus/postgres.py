"""The bus of several servers on one PostgreSQL: what one publishes, all hear.

Events of a transaction are told with its commit (``NOTIFY`` is part of it): there is no commit of which another server
does not hear. What is published beside transactions, such as progress, waits for the next commit, and after ``BATCH_S``
for one of its own; so the order of a publisher is the order of its commits. Of what is told several times before that,
the last is told.

A picture of a preview is too large to be told to all. It is kept in the job's one unlogged row, and read by those
servers for which somebody watches.
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
from safelight.db import channel
from safelight.db.engine import Database
from safelight.db.transaction import Transaction

log = logging.getLogger(__name__)

BATCH_S = 0.05
LARGEST_NOTICE = 7_600
"""Characters of one ``NOTIFY``, of which PostgreSQL takes fewer than 8,000 bytes."""
KEPT_ENDS = 4_096
RETRY_S = 0.5
AWAY_S = 2.0
"""After a commit that failed, before what is published beside transactions is told again. What waited is missed."""

SKEW_S = 30.0
"""How much the clocks of servers may differ."""

Recover = Callable[[datetime], Awaitable[Sequence[Event]]]


class PostgresBus:
    """Mutable: what waits to be told, and what was heard and waits for its turn. Named ``name`` among its peers.

    :meth:`on_commit` and :meth:`announce` are for the door of the database; :meth:`start` begins to listen.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._local = MemoryBus()
        self._pending: OrderedDict[Hashable, Event] = OrderedDict()
        self._serial = 0
        self._is_wanted = asyncio.Event()
        self._parts: dict[str, list[str]] = {}
        self._inbox: deque[bytes | datetime] = deque()
        self._has_mail = asyncio.Event()
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
        self._is_wanted.set()

    def subscribe(self, listener: EventListener) -> Callable[[], None]:
        return self._local.subscribe(listener)

    # -- for the door --

    def on_commit(self, events: Sequence[Event]) -> None:
        """They were announced with the commit."""
        self._local.publish(events)

    def announce(self, tx: Transaction, events: Sequence[Event]) -> None:
        """Tell the others, with the commit that ``tx`` is about to make."""
        pending, self._pending = self._pending, OrderedDict()
        told = [self._shown(tx, event) for event in (*pending.values(), *events)]
        if not told:
            return
        body = base64.b85encode(zlib.compress(codec.encode(told), 1)).decode("ascii")
        pieces = [body[start : start + LARGEST_NOTICE] for start in range(0, len(body), LARGEST_NOTICE)]
        for number, piece in enumerate(pieces, 1):
            channel.notify(tx.conn, f"{self._name} {number}/{len(pieces)} {piece}")

    # -- its life --

    async def start(self, db: Database, *, url: str, recover: Recover, is_watched: Callable[[UserId], bool]) -> None:
        """``recover``: the durable events since a time, some of which may have been missed. ``is_watched``: whether
        anybody here would see a user's previews. Raises :class:`Unavailable`."""
        self._is_watched = is_watched
        listening = await channel.Listening.open(url, self._heard)
        self._tasks = [
            asyncio.create_task(self._tell_all(db), name="bus-tell"),
            asyncio.create_task(self._work_off(db, recover), name="bus-hear"),
            asyncio.create_task(self._listen(listening, url), name="bus-listen"),
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- telling --

    def _shown(self, tx: Transaction, event: Event) -> Event:
        if isinstance(event, CallReported) and isinstance(event.event, PreviewMade):
            channel.keep_preview(tx.conn, event.job_id, image=event.event.image)
            return replace(event, event=replace(event.event, image=b""))
        if isinstance(event, JobEnded):
            channel.drop_preview(tx.conn, event.job_id)
        return event

    async def _tell_all(self, db: Database) -> None:
        while True:
            await self._is_wanted.wait()
            await asyncio.sleep(BATCH_S)
            self._is_wanted.clear()
            if self._pending:
                try:
                    await db.write(lambda tx: None, is_durable=False)
                except SafelightError:  # the door has said so, in the log, which is told as well: not at once
                    await asyncio.sleep(AWAY_S)

    # -- hearing --

    async def _listen(self, listening: channel.Listening, url: str) -> None:
        """A connection that breaks may have missed anything until the next one listens."""
        try:
            while True:
                await listening.ended()
                log.warning("the connection on which other servers are heard broke; connecting again")
                since = listening.alive_at - timedelta(seconds=SKEW_S)
                await listening.close()
                self._parts.clear()
                listening = await self._listen_again(url)
                self._inbox.append(since)
                self._has_mail.set()
        finally:
            await listening.close()

    async def _listen_again(self, url: str) -> channel.Listening:
        while True:
            try:
                return await channel.Listening.open(url, self._heard)
            except Unavailable:
                await asyncio.sleep(RETRY_S)

    def _heard(self, notice: str) -> None:
        try:
            name, place, piece = notice.split(" ", 2)
            number, total = map(int, place.split("/"))
        except ValueError:
            log.warning("a notice that no server of this version sends is left out")
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
            self._has_mail.set()

    async def _work_off(self, db: Database, recover: Recover) -> None:
        while True:
            await self._has_mail.wait()
            self._has_mail.clear()
            while self._inbox:
                mail = self._inbox.popleft()
                try:
                    events = _decode(mail) if isinstance(mail, bytes) else await self._missed(recover, mail)
                    for event in events:
                        if isinstance(event, CallReported) and isinstance(event.event, PreviewMade):
                            await self._show_preview(db, event, event.event)
                        else:
                            self._local.publish([event])
                except Exception:  # a boundary: what comes next must be heard
                    log.exception("what another server told could not be used")

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
        image = await db.read(lambda tx: channel.load_preview(tx.conn, event.job_id))
        if image is not None:
            self._local.publish([replace(event, event=replace(preview, image=image))])

    def _remember(self, event: Event) -> None:
        if isinstance(event, JobEnded):
            self._ended[event.job_id] = None
            if len(self._ended) > KEPT_ENDS:
                self._ended.popitem(last=False)


def _key(event: Event) -> Hashable | None:
    """Of events with one key, the latest wins."""
    match event:
        case CallReported(event=CallProgressed() | TextShown() as reported):
            return type(reported), event.job_id, reported.call.id
        case CallReported(event=PreviewMade()):
            return PreviewMade, event.job_id
    return None


def _decode(body: bytes) -> Sequence[Event]:
    return codec.decode(zlib.decompress(base64.b85decode(body)))
