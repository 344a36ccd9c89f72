"""Keeping what happened to a run: its outputs, its end, its loss. Written until it is written, whatever the database
does meanwhile: a job whose end was forgotten would wait for ever."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from typing import Any, TypeVar

from safelight.core.clock import Clock
from safelight.core.errors import Conflict, NotFound, SafelightError, Unavailable
from safelight.core.job import Fence, JobState, JobSummary
from safelight.core.output import Output
from safelight.core.user import Principal
from safelight.db.engine import Database, Transaction
from safelight.dispatch.attempts.attempt import Run
from safelight.dispatch.attempts.names import NameCounters
from safelight.dispatch.files.outputs import kept_name
from safelight.dispatch.files.transport import FileTransport
from safelight.services import asset as assets
from safelight.services import attempt as attempts
from safelight.services.asset import NewFile
from safelight.wire.messages import JobDone, KeptFile

log = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0


async def until_available(
    action: Callable[[], Awaitable[T]], *, what: str, sleep: Callable[[float], Awaitable[None]]
) -> T:
    """Do it, and again until the database is back. ``what``: "the end of job 1 is not stored yet"."""
    pause = FIRST_PAUSE_S
    while True:
        try:
            return await action()
        except Unavailable as error:
            log.error("%s: %s", what, error)
        await sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_S)


class Outcomes:
    def __init__(
        self,
        db: Database,
        *,
        names: NameCounters,
        transport: FileTransport,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._db = db
        self._names = names
        self._exchange = transport
        self._clock = clock
        self._sleep = sleep

    async def record(self, run: Run, output: Output, files: Sequence[NewFile]) -> None:
        """Keep an output and its files, whose bytes are stored. A start would give the attempt up with all that it
        made, so that only its finish must be durable."""
        now = self._clock.now()
        await self._persist(
            run,
            lambda tx: attempts.record_outputs(tx, run.fence, outputs=[output], files=files, now=now),
            is_durable=False,
        )

    async def gone_files(self, run: Run, files: Sequence[KeptFile]) -> list[int]:
        """The positions of those that the run's owner has no longer, or with other bytes."""
        named = [kept_name(file) for file in files]
        found = await until_available(
            lambda: self._db.read(
                lambda tx: assets.find_files(tx, Principal(run.owner_id), files={name for name, _ in named})
            ),
            what=f"the files that job {run.job_id} names cannot be looked for yet",
            sleep=self._sleep,
        )
        there = {name: asset.digest for name, asset in found.items()}
        return [position for position, (name, digest) in enumerate(named) if there.get(name) != digest]

    def finish(self, run: Run, done: JobDone) -> Coroutine[Any, Any, None]:
        """Enqueue the end of a run at once; what is returned sees to it that it is written, and cleans up."""
        now = self._clock.now()
        outcome = done.outcome if done.outcome.is_terminal else JobState.FAILED
        error = done.error or (run.interrupted() if outcome is JobState.CANCELLED else None)

        def finish(tx: Transaction) -> None:
            attempts.finish(
                tx,
                run.fence,
                outcome=outcome,
                error=error,
                executed=done.executed,
                cached=run.cached,
                outputs=run.outputs,
                device_s=done.device_s,
                now=now,
            )

        return self._see_to(run, finish, self._db.enqueue(finish))

    async def lose(self, run: Run, reason: str) -> None:
        """The attempt is over and has no end of its own."""
        now = self._clock.now()
        await self._persist(
            run,
            lambda tx: attempts.fail_attempt(
                tx,
                run.fence,
                reason=reason,
                interrupted=run.interrupted(),
                executed=run.executed,
                cached=run.cached,
                now=now,
            ),
        )
        await self._discard(run)

    async def recover(self, fences: Collection[Fence]) -> Sequence[JobSummary]:
        """Give up attempts of a server that is gone; returns their jobs as they are now."""
        return await until_available(
            lambda: self._db.write(lambda tx: attempts.recover(tx, fences=fences, now=self._clock.now())),
            what="what ran when the server stopped is not given up yet",
            sleep=self._sleep,
        )

    async def give_back(self, run: Run, reason: str) -> None:
        """The attempt is over by no fault of the job's, which waits again and loses no retry."""
        now = self._clock.now()
        await self._persist(
            run,
            lambda tx: attempts.requeue(
                tx, run.fence, reason=reason, interrupted=run.interrupted(), executed=run.executed, now=now
            ),
        )
        await self._discard(run)

    async def release(self, run: Run) -> None:
        """The server stops: the job waits again. Tried once; a start gives up what is left."""
        try:
            await self._db.write(lambda tx: attempts.requeue(tx, run.fence, now=self._clock.now()))
        except SafelightError as error:
            log.warning("job %s is given up at the next start: %s", run.job_id, error)
        await self._discard(run)

    async def leave(self, run: Run) -> None:
        """The server stops, and the attempt goes on. Tried once: without it a loss meanwhile costs the job a retry."""
        try:
            await self._db.write(lambda tx: attempts.detach(tx, run.fence, now=self._clock.now()))
        except SafelightError as error:
            log.warning("that job %s goes on without this server is not stored: %s", run.job_id, error)

    async def _see_to(self, run: Run, finish: Callable[[Transaction], None], first: "asyncio.Future[None]") -> None:
        try:
            await self._persist(run, finish, first=first)
        except Exception as error:  # a boundary: the end itself cannot be stored, so the job ends without it
            log.exception("the end of job %s cannot be stored", run.job_id)
            await self.lose(run, f"what the worker said of the job's end cannot be stored: {error}")
            return
        self._names.release(run.job_id)
        await self._exchange.end(run.staging)

    async def _persist(
        self,
        run: Run,
        fn: Callable[[Transaction], object],
        *,
        first: "asyncio.Future[Any] | None" = None,
        is_durable: bool = True,
    ) -> None:
        """Write, and again until the database is back. ``first``: the write that was enqueued already."""

        async def write() -> None:
            nonlocal first
            enqueued, first = first, None
            await (enqueued if enqueued is not None else self._db.write(fn, is_durable=is_durable))

        try:
            await until_available(write, what=f"what happened to job {run.job_id} is not stored yet", sleep=self._sleep)
        except (Conflict, NotFound) as error:  # the fence does not hold any more, and that is all
            log.warning("an old attempt was refused: %s", error)

    async def _discard(self, run: Run) -> None:
        self._names.release(run.job_id)
        await self._exchange.give_up(run.staging)
