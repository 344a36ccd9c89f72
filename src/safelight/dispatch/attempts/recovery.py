"""Attempts that another server began: which of them an engine still works on, and which have failed.

A server that starts reads the running attempts from the database, and waits for the first message of each slot. An
attempt that no slot has reported has failed once every slot has sent that message, or once so much time has passed that
no engine can still be running without a server.

Until all attempts of a user are found or have failed, no numbers for file names are reserved for that user's jobs: the
numbers that were reserved and are not rows yet are only in the engines' journals.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection

from safelight.core.backoff import DATABASE_RETRY, Retrier
from safelight.core.clock import Clock
from safelight.core.errors import Conflict, NotFound
from safelight.core.ids import JobId, UserId
from safelight.core.job import Fence
from safelight.core.worker import SlotId
from safelight.db.engine import Database
from safelight.dispatch.attempts.names import NameCounters
from safelight.dispatch.attempts.outcomes import Outcomes
from safelight.dispatch.files.outputs import sequence_of
from safelight.dispatch.files.transport import FileTransport
from safelight.dispatch.journal import Journal
from safelight.services import attempt as attempts
from safelight.services.attempt import Reattached
from safelight.wire.messages import ReserveNames

log = logging.getLogger(__name__)


class Recovery:
    """Mutable: the attempts that are not found yet, and the slots without a first message. One event loop."""

    def __init__(
        self,
        db: Database,
        *,
        names: NameCounters,
        outcomes: Outcomes,
        transport: FileTransport,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._db = db
        self._names = names
        self._outcomes = outcomes
        self._transport = transport
        self._sleep = sleep
        self._retry = Retrier(DATABASE_RETRY, clock, sleep)
        self._attempts: dict[Fence, UserId] = {}
        self._cancelled: set[Fence] = set()
        self._unheard: set[SlotId] = set()
        self._all_heard = asyncio.Event()
        self._changed = asyncio.Event()
        self._is_over = False

    @property
    def unheard(self) -> Collection[SlotId]:
        """The slots that may work on an attempt that is not found yet."""
        return self._unheard if self._attempts else ()

    async def start(self, slots: Collection[SlotId]) -> None:
        """Read which attempts ran."""
        await asyncio.to_thread(self._transport.scan)
        running = await self._db.write(attempts.running)  # a write: it comes after the last ones of the earlier server
        self._attempts = {Fence(job.id, job.attempt): job.owner_id for job in running}
        self._unheard = set(slots)

    async def finish(self, *, within_s: float) -> None:
        """Wait for attempts to be found, then fail the others. Afterwards no attempt is looked for."""
        if within_s and self._attempts:
            await self._wait(within_s)
        self._is_over = True
        for job in await self._outcomes.abandon(set(self._attempts)):
            log.info("job %s ran when the server stopped; it is %s now", job.id, job.state)
        self._attempts.clear()
        self._notify()
        await asyncio.to_thread(self._transport.sweep)

    def heard(self, slot: SlotId) -> None:
        """The slot has sent its first message."""
        self._unheard.discard(slot)
        if not self._unheard:
            self._all_heard.set()

    async def find(self, journal: Journal) -> Reattached | None:
        """The attempt of a journal, which this server follows from now on; ``None`` if it has ended or failed.

        Raises :class:`~safelight.core.errors.Invalid` for a journal that cannot be true.
        """
        fence = Fence(JobId(journal.job_id), journal.attempt)
        owner_id = self._attempts.get(fence)
        if owner_id is None:
            return None
        await self._restore_names(owner_id, journal)
        try:
            found = await self._retry.run(
                lambda: self._db.read(lambda tx: attempts.reattach(tx, fence)),
                what=f"look up whether job {fence.job_id} still runs",
            )
        except (Conflict, NotFound):
            found = None
        if found is None or self._is_over:
            self._names.release(fence.job_id)
            return None
        del self._attempts[fence]
        self._notify()
        return found

    def cancel(self, fence: Fence) -> None:
        """The owner cancels an attempt, which may not be found yet."""
        if fence in self._attempts:
            self._cancelled.add(fence)

    def is_cancelled(self, fence: Fence) -> bool:
        return fence in self._cancelled

    async def wait_for(self, owner_id: UserId) -> None:
        """Return when all attempts of the user are found or have failed."""
        while owner_id in self._attempts.values():
            await self._changed.wait()

    async def _restore_names(self, owner_id: UserId, journal: Journal) -> None:
        for _, message in journal.messages:
            if isinstance(message, ReserveNames) and (first := journal.numbers.get(message.request_id)) is not None:
                sequence, last = sequence_of(owner_id, message), first + message.count - 1
                await self._names.restore(sequence, job_id=JobId(journal.job_id), last=last)

    async def _wait(self, within_s: float) -> None:
        waits = asyncio.ensure_future(self._sleep(within_s)), asyncio.ensure_future(self._all_heard.wait())
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
