"""Stores what happened to an attempt: its outputs, its end, its loss. Each write is retried until the database is
available: a job whose end was not stored would wait for ever."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from typing import Any

from safelight.core.backoff import DATABASE_RETRY, Retrier
from safelight.core.clock import Clock
from safelight.core.errors import Conflict, NotFound, SafelightError
from safelight.core.job import Fence, JobState, JobSummary
from safelight.core.output import Output
from safelight.core.user import Principal
from safelight.db.engine import Database, Transaction
from safelight.dispatch.attempts.attempt import Attempt
from safelight.dispatch.attempts.names import NameCounters
from safelight.dispatch.files.outputs import kept_name
from safelight.dispatch.files.transport import FileTransport
from safelight.services import attempt as attempts
from safelight.services import named_files
from safelight.services.named_files import NewFile
from safelight.wire.messages import JobDone, KeptFile

log = logging.getLogger(__name__)


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
        self._transport = transport
        self._clock = clock
        self._retry = Retrier(DATABASE_RETRY, clock, sleep)

    async def record(self, attempt: Attempt, output: Output, files: Sequence[NewFile]) -> None:
        """Store an output and its files, whose bytes are in the store. Need not be durable: a server that starts after
        a crash fails the attempt, with all that it made, so that only the finish must be durable."""
        now = self._clock.now()
        await self._persist(
            attempt,
            lambda tx: attempts.record_outputs(tx, attempt.fence, outputs=[output], files=files, now=now),
            is_durable=False,
        )

    async def missing_files(self, attempt: Attempt, files: Sequence[KeptFile]) -> list[int]:
        """The positions of the ``files`` that the owner has deleted or replaced."""
        named = [kept_name(file) for file in files]
        found = await self._retry.run(
            lambda: self._db.read(
                lambda tx: named_files.find_files(tx, Principal(attempt.owner_id), files={name for name, _ in named})
            ),
            what=f"look up the files that job {attempt.job_id} names",
        )
        present = {name: asset.digest for name, asset in found.items()}
        return [position for position, (name, digest) in enumerate(named) if present.get(name) != digest]

    def finish(self, attempt: Attempt, done: JobDone) -> Coroutine[Any, Any, None]:
        """Enqueue the end of the attempt before returning. The coroutine retries the write and cleans up."""
        now = self._clock.now()
        outcome = done.outcome if done.outcome.is_terminal else JobState.FAILED
        error = done.error or (attempt.interrupted() if outcome is JobState.CANCELLED else None)

        def finish(tx: Transaction) -> None:
            attempts.finish(
                tx,
                attempt.fence,
                outcome=outcome,
                error=error,
                executed=done.executed,
                cached=attempt.cached,
                outputs=attempt.outputs,
                device_s=done.device_s,
                now=now,
            )

        return self._complete(attempt, finish, self._db.enqueue(finish))

    async def fail(self, attempt: Attempt, reason: str) -> None:
        """The attempt is lost without an end of its own: the job is retried, or fails."""
        now = self._clock.now()
        await self._persist(
            attempt,
            lambda tx: attempts.fail_attempt(
                tx,
                attempt.fence,
                reason=reason,
                interrupted=attempt.interrupted(),
                executed=attempt.executed,
                cached=attempt.cached,
                now=now,
            ),
        )
        await self._discard(attempt)

    async def abandon(self, fences: Collection[Fence]) -> Sequence[JobSummary]:
        """Fail the attempts of a server that is gone. Return their jobs as they are now."""
        return await self._retry.run(
            lambda: self._db.write(lambda tx: attempts.recover(tx, fences=fences, now=self._clock.now())),
            what="fail the attempts that ran when the server stopped",
        )

    async def requeue(self, attempt: Attempt, reason: str) -> None:
        """The attempt is over through no fault of the job's: the job waits again and keeps its retry."""
        now = self._clock.now()
        await self._persist(
            attempt,
            lambda tx: attempts.requeue(
                tx, attempt.fence, reason=reason, interrupted=attempt.interrupted(), executed=attempt.executed, now=now
            ),
        )
        await self._discard(attempt)

    async def requeue_at_stop(self, attempt: Attempt) -> None:
        """The server stops: the job waits again. Tried once; the next start fails attempts that remain."""
        try:
            await self._db.write(lambda tx: attempts.requeue(tx, attempt.fence, now=self._clock.now()))
        except SafelightError as error:
            log.warning("could not requeue job %s; the next start retries it: %s", attempt.job_id, error)
        await self._discard(attempt)

    async def detach(self, attempt: Attempt) -> None:
        """The server stops, and the attempt keeps running. Tried once: without it, a loss before the next server starts
        costs the job a retry."""
        try:
            await self._db.write(lambda tx: attempts.detach(tx, attempt.fence, now=self._clock.now()))
        except SafelightError as error:
            log.warning("could not store that job %s keeps running without this server: %s", attempt.job_id, error)

    async def _complete(
        self, attempt: Attempt, finish: Callable[[Transaction], None], first: "asyncio.Future[None]"
    ) -> None:
        try:
            await self._persist(attempt, finish, first=first)
        except Exception as error:  # a boundary: this end cannot be stored, so the job ends without it
            log.exception("the end of job %s cannot be stored", attempt.job_id)
            await self.fail(attempt, f"the end of the job, as the worker reported it, cannot be stored: {error}")
            return
        self._names.release(attempt.job_id)
        await self._transport.end(attempt.staging)

    async def _persist(
        self,
        attempt: Attempt,
        fn: Callable[[Transaction], object],
        *,
        first: "asyncio.Future[Any] | None" = None,
        is_durable: bool = True,
    ) -> None:
        """Write until it succeeds. ``first``: the write that is enqueued already."""

        async def write() -> None:
            nonlocal first
            enqueued, first = first, None
            await (enqueued if enqueued is not None else self._db.write(fn, is_durable=is_durable))

        try:
            await self._retry.run(write, what=f"store what happened to job {attempt.job_id}")
        except (Conflict, NotFound) as error:  # the fence is outdated, and nothing else is wrong
            log.warning("refused the write of an outdated attempt: %s", error)

    async def _discard(self, attempt: Attempt) -> None:
        self._names.release(attempt.job_id)
        await self._transport.discard(attempt.staging)
