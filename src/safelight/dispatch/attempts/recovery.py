"""Attempts that another server began: which of them a slot still works on, and which are given up.

A server that starts asks the database what ran, and waits for what the slots say. An attempt that no slot has when all
have had their first word is given up; and each that was not found when no engine can be left that works without a
server.

Until it is known what became of a user's attempts, nobody gives that user's jobs numbers for names: only the journals
know those that were given, and have become no rows yet.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection

from safelight.core.errors import Conflict, NotFound
from safelight.core.ids import JobId, UserId
from safelight.core.job import Fence
from safelight.core.worker import SlotId
from safelight.db.engine import Database
from safelight.dispatch.attempts.names import NameCounters
from safelight.dispatch.attempts.outcomes import Outcomes, until_available
from safelight.dispatch.files.outputs import series_of
from safelight.dispatch.files.transport import FileTransport
from safelight.dispatch.journal import Journal
from safelight.services import attempt as attempts
from safelight.services.attempt import Reattached
from safelight.wire.messages import ReserveNames

log = logging.getLogger(__name__)


class Recovery:
    """Mutable: the attempts that are looked for, and the slots that have not spoken yet. One event loop."""

    def __init__(
        self,
        db: Database,
        *,
        names: NameCounters,
        outcomes: Outcomes,
        transport: FileTransport,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._db = db
        self._names = names
        self._outcomes = outcomes
        self._exchange = transport
        self._sleep = sleep
        self._attempts: dict[Fence, UserId] = {}
        self._cancelled: set[Fence] = set()
        self._silent: set[SlotId] = set()
        self._have_spoken = asyncio.Event()
        self._changed = asyncio.Event()
        self._is_over = False

    @property
    def silent(self) -> Collection[SlotId]:
        """The slots that may work on an attempt that is looked for."""
        return self._silent if self._attempts else ()

    async def start(self, slots: Collection[SlotId]) -> None:
        """Look for what runs."""
        await asyncio.to_thread(self._exchange.look)
        running = await self._db.write(attempts.running)  # a write: behind the last ones of the server before
        self._attempts = {Fence(job.id, job.attempt): job.owner_id for job in running}
        self._silent = set(slots)

    async def end(self, *, within_s: float) -> None:
        """Give up what is not found in time. Returns when nothing is looked for any more."""
        if within_s and self._attempts:
            await self._wait(within_s)
        self._is_over = True
        for job in await self._outcomes.recover(set(self._attempts)):
            log.info("job %s ran when the server stopped; it is %s now", job.id, job.state)
        self._attempts.clear()
        self._tell_changed()
        await asyncio.to_thread(self._exchange.sweep)

    def heard(self, slot: SlotId) -> None:
        """The slot has had its first word."""
        self._silent.discard(slot)
        if not self._silent:
            self._have_spoken.set()

    async def find(self, journal: Journal) -> Reattached | None:
        """The attempt of a journal, which is this server's from now on; ``None`` where it is given up, or has ended.

        Raises :class:`~safelight.core.errors.Invalid` for a journal that cannot be true.
        """
        fence = Fence(JobId(journal.job_id), journal.attempt)
        owner_id = self._attempts.get(fence)
        if owner_id is None:
            return None
        await self._remember_names(owner_id, journal)
        try:
            found = await until_available(
                lambda: self._db.read(lambda tx: attempts.reattach(tx, fence)),
                what=f"whether job {fence.job_id} still runs cannot be known yet",
                sleep=self._sleep,
            )
        except (Conflict, NotFound):
            found = None
        if found is None or self._is_over:
            self._names.release(fence.job_id)
            return None
        del self._attempts[fence]
        self._tell_changed()
        return found

    def cancel(self, fence: Fence) -> None:
        """Its owner wants the attempt to end, which may be told while it is being found."""
        if fence in self._attempts:
            self._cancelled.add(fence)

    def is_cancelled(self, fence: Fence) -> bool:
        return fence in self._cancelled

    async def settled(self, owner_id: UserId) -> None:
        """Returns when none of the user's attempts is looked for."""
        while owner_id in self._attempts.values():
            await self._changed.wait()

    async def _remember_names(self, owner_id: UserId, journal: Journal) -> None:
        for _, message in journal.said:
            if isinstance(message, ReserveNames) and (first := journal.numbers.get(message.request_id)) is not None:
                series, last = series_of(owner_id, message), first + message.count - 1
                await self._names.remember(series, job_id=JobId(journal.job_id), last=last)

    async def _wait(self, within_s: float) -> None:
        times = asyncio.ensure_future(self._sleep(within_s)), asyncio.ensure_future(self._have_spoken.wait())
        try:
            await asyncio.wait(times, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for time in times:
                time.cancel()

    def _tell_changed(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
