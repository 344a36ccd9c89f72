"""Runs attempts on slots: prepares their files, sends them, watches their limits, stops them, and passes their outcome
on to be stored."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from safelight.core.asset import Asset
from safelight.core.clock import Clock, from_ms
from safelight.core.errors import SafelightError
from safelight.core.event import Event, JobReattached, JobTimed
from safelight.core.ids import JobId
from safelight.core.job import Fence, JobError, JobState
from safelight.dispatch.attempts.attempt import Attempt, run_job
from safelight.dispatch.attempts.infra_failures import FreeRetries, is_infra_failure, is_slot_failure
from safelight.dispatch.attempts.names import NameCounters
from safelight.dispatch.attempts.outcomes import Outcomes
from safelight.dispatch.attempts.recovery import Recovery
from safelight.dispatch.attempts.run_limits import Limits
from safelight.dispatch.backend import Backend
from safelight.dispatch.files.outputs import sequence_of
from safelight.dispatch.files.transport import FileTransport
from safelight.dispatch.journal import Journal
from safelight.dispatch.scheduling.queue import SchedulerQueue
from safelight.dispatch.slots.inbox import Work
from safelight.dispatch.slots.registry import Slots
from safelight.dispatch.slots.slot import EngineEnded, Slot
from safelight.dispatch.tasks import Tasks
from safelight.services.attempt import Claim, Reattached
from safelight.wire import messages as wire
from safelight.wire.config import OUT_OF_MEMORY

log = logging.getLogger(__name__)

NEEDED_BY_ADMIN = "an administrator needs the worker now"


class AttemptRunner:
    """Mutable: the secrets of jobs that have not ended, and the free retries of jobs. The attempts themselves are in
    their slots."""

    def __init__(
        self,
        *,
        backend: Backend,
        transport: FileTransport,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]],
        tasks: Tasks,
        slots: Slots,
        queue: SchedulerQueue,
        names: NameCounters,
        outcomes: Outcomes,
        recovery: Recovery,
        limits: Limits,
        cancel_grace_s: float,
        publish: Callable[[Event], None],
        request_claim: Callable[[], None],
    ) -> None:
        self._backend = backend
        self._transport = transport
        self._clock = clock
        self._sleep = sleep
        self._tasks = tasks
        self._slots = slots
        self._queue = queue
        self._names = names
        self._outcomes = outcomes
        self._recovery = recovery
        self._limits = limits
        self._cancel_grace_s = cancel_grace_s
        self._publish = publish
        self._request_claim = request_claim
        self._free_retries = FreeRetries(slots=len(slots))
        self._secrets: dict[JobId, dict[str, str]] = {}

    def keep_secrets(self, job_id: JobId, secrets: Mapping[str, str]) -> None:
        """Keep the secrets of a queued job in memory until it ends."""
        self._secrets[job_id] = dict(secrets)

    def forget(self, job_id: JobId) -> None:
        """The job has ended."""
        self._secrets.pop(job_id, None)
        self._free_retries.forget(job_id)

    # -- begin --

    def begin(self, slot: Slot, claim: Claim) -> Attempt:
        """Send a claimed job when its files are there. If the engine is lost before that, the next engine gets it."""
        assert claim.job is not None
        slot.attempt = attempt = Attempt(claim.job, own_limit_s=claim.run_limit_s, claimed_s=self._clock.monotonic_s())
        slot.latest_owner_id = attempt.owner_id
        attempt.preparing = self._tasks.spawn(self._prepare(slot, attempt, claim.files))
        return attempt

    def withdraw(self, slot: Slot, attempt: Attempt) -> Awaitable[None]:
        """The claim of the attempt could not be saved: take it from the slot now. The result is awaited until the
        database holds no such attempt: it may have saved the claim, and lost the connection before it said so."""
        if slot.attempt is attempt:
            if attempt.is_sent and slot.ready is not None:
                slot.ready = None
                self._backend.kill(slot.id, "the claim of its job could not be saved")
            self._free_slot(slot, attempt)
            self._slots.drain_if_due(slot)
        return self._outcomes.requeue(attempt, "the claim of the job could not be saved")

    async def _prepare(self, slot: Slot, attempt: Attempt, files: Mapping[str, Asset]) -> None:
        """Is cancelled when the attempt is over."""
        try:
            attempt.staging = await self._transport.begin(slot.id)
            refs = await self._transport.fetch(files, attempt.inputs, slot=slot.id, staging=attempt.staging)
            attempt.preparing = None
            secrets = self._secrets.get(attempt.job_id, {})
            attempt.message = run_job(attempt.job, attempt.staging, refs, secrets=secrets)
            self.send(slot)
        except Exception as error:
            attempt.preparing = None
            self._could_not_send(slot, attempt, error)
        finally:
            if slot.attempt is not attempt:
                attempt.inputs.close()  # also files that arrived while this task was cancelled

    def send(self, slot: Slot) -> None:
        """Send the slot's attempt to its engine, if both are ready."""
        attempt = slot.attempt
        if attempt is None or attempt.message is None or slot.ready is None:
            return
        self._backend.send(slot.id, attempt.message)
        attempt.is_sent = True
        self._watch_limits(slot, attempt)

    def _could_not_send(self, slot: Slot, attempt: Attempt, error: Exception) -> None:
        """The engine was never sent the job."""
        log.error("could not send job %s to a worker", attempt.job_id, exc_info=error)
        attempt.infra_failure = f"the job could not be sent to a worker: {error}"
        self._free_slot(slot, attempt)
        if is_slot_failure(error):
            self._slots.count_failure(slot, attempt.infra_failure)
            if slot.ready is not None:  # the engine may be confined to a folder that is gone; the next is not
                slot.ready = None
                self._backend.kill(slot.id, attempt.infra_failure)
        self._slots.drain_if_due(slot)
        self._tasks.spawn(self._requeue(slot, attempt, attempt.infra_failure))

    # -- reattach --

    async def reattach(self, slot: Slot, found: Reattached, journal: Journal) -> None:
        """Follow an attempt from where another server stopped. Listeners get no event twice."""
        attempt = Attempt(
            found.job,
            is_sent=True,
            is_reattached=True,
            recorded=found.recorded,
            own_limit_s=found.run_limit_s,
            claimed_s=self._clock.monotonic_s(),
        )
        slot.attempt = attempt
        log.info("reattached to attempt %d of job %s", attempt.fence.attempt, attempt.job_id)
        self._queue.started(slot.id, attempt.owner_id, attempt.job_id, weight=found.weight)
        attempt.staging = self._transport.reattach(journal.staging)
        self._tasks.spawn(self._hold_inputs(slot, attempt, found.files))
        if found.job.summary.cancel_requested or self._recovery.is_cancelled(attempt.fence):
            self.cancel(attempt.fence)
        for at_ms, message in journal.messages:
            match message:
                case wire.ReserveNames() if message.request_id in journal.numbers:
                    pass
                case (
                    wire.ReserveNames()
                    | wire.CheckFiles()  # an engine ignores an answer that it has already
                    | wire.JobDone()
                    | wire.AttemptLost()
                    | wire.OutputReady(files=[_, *_])
                ):
                    work = self.handle(slot, attempt, message)
                    if work is not None:
                        await work()
                case wire.CallReport() | wire.OutputReady():
                    attempt.note(message, from_ms(at_ms))
        if slot.attempt is attempt:
            fields = attempt.common_fields(self._clock.now())
            running = [*attempt.calls.values()]
            number = attempt.fence.attempt
            self._publish(JobReattached(**fields, attempt=number, running=running, finished=journal.finished))
            self._watch_limits(slot, attempt)

    async def _hold_inputs(self, slot: Slot, attempt: Attempt, files: Mapping[str, Asset]) -> None:
        """Keep the input files of a reattached attempt where its engine finds them."""
        try:
            await self._transport.fetch(files, attempt.inputs, slot=slot.id, staging=attempt.staging)
        except SafelightError as error:
            log.warning("input files of job %s may be missing: %s", attempt.job_id, error)
        finally:
            if slot.attempt is not attempt:
                attempt.inputs.close()

    # -- messages --

    def handle(self, slot: Slot, attempt: Attempt, message: wire.JobMessage) -> Work | None:
        """Handle a message of the engine about the attempt. Return the part that must wait."""
        match message:
            case wire.ReserveNames():
                return partial(self._reserve_names, slot, attempt, message)
            case wire.CheckFiles():
                return partial(self._check_files, slot, attempt, message)
            case wire.OutputReady() if message.files and attempt.recorded:
                attempt.recorded -= 1
            case wire.OutputReady() if message.files:
                return partial(self._record, slot, attempt, message)
            case wire.JobDone():
                self._finish(slot, attempt, message)
            case wire.AttemptLost():
                attempt.infra_failure, attempt.is_abandoned = message.reason, True
                self._backend.kill(slot.id, message.reason)
            case wire.CallReport() | wire.OutputReady():
                self._publish(attempt.note(message, self._clock.now()))
        return None

    async def _reserve_names(self, slot: Slot, attempt: Attempt, message: wire.ReserveNames) -> None:
        sequence = sequence_of(attempt.owner_id, message)
        await self._recovery.wait_for(attempt.owner_id)
        first = await self._names.reserve(sequence, job_id=attempt.job_id, count=message.count)
        self._backend.send(slot.id, wire.NamesReserved(request_id=message.request_id, first=first))

    async def _check_files(self, slot: Slot, attempt: Attempt, message: wire.CheckFiles) -> None:
        gone = await self._outcomes.missing_files(attempt, message.files)
        self._backend.send(slot.id, wire.FilesChecked(request_id=message.request_id, gone=gone))

    async def _record(self, slot: Slot, attempt: Attempt, message: wire.OutputReady) -> None:
        def is_wanted() -> bool:
            return attempt.cancelling is None and not any(isinstance(other, EngineEnded) for other in slot.inbox)

        stored = await self._transport.store(
            message.files, staging=attempt.staging, is_wanted=is_wanted, may_be_stored=attempt.is_reattached
        )
        await self._outcomes.record(attempt, (message.made.call, message.made.output), stored)

    # -- end --

    def _finish(self, slot: Slot, attempt: Attempt, done: wire.JobDone) -> None:
        """Store the end, and claim the next job in the same commit."""
        if done.outcome is JobState.COMPLETED:
            slot.failures = 0
            self._publish_times(slot, attempt)
        elif attempt.limit_error is not None:
            done = self._done_by_limit(attempt, attempt.limit_error)
        self._free_slot(slot, attempt)
        self._slots.drain_if_due(slot)
        rest = self._outcomes.finish(attempt, done)
        self._request_claim()
        self._tasks.spawn(rest)

    def _publish_times(self, slot: Slot, attempt: Attempt) -> None:
        """Nothing for an attempt that another server began, whose first calls this one did not see."""
        begun = attempt.job.summary.started_at
        if attempt.is_reattached or slot.info is None or not slot.info.devices or not attempt.seconds or begun is None:
            return
        now = self._clock.now()
        self._publish(
            JobTimed(
                **attempt.common_fields(now),
                device=slot.info.devices[0].name,
                seconds=attempt.seconds,
                total_s=(now - begun).total_seconds(),
            )
        )

    async def engine_ended(self, slot: Slot, reason: str, *, memory: int) -> None:
        """The slot's engine has ended, with the attempt that it was sent. ``memory``: of its device."""
        attempt = slot.attempt
        if attempt is None or attempt.preparing is not None:  # the next engine gets what this one was not sent
            return
        self._free_slot(slot, attempt)
        if attempt.infra_failure:
            self._slots.count_failure(slot, attempt.infra_failure)
        self._slots.drain_if_due(slot)
        if attempt.limit_error is not None:
            await self._outcomes.finish(attempt, self._done_by_limit(attempt, attempt.limit_error))
        elif attempt.infra_failure or attempt.must_requeue:
            await self._requeue(slot, attempt, attempt.infra_failure or NEEDED_BY_ADMIN)
        else:
            if OUT_OF_MEMORY in reason:
                self._slots.outgrown.add(attempt.job.summary, memory=memory)
            await self._outcomes.fail(attempt, reason)

    def abandon(self, slot: Slot, error: Exception) -> None:
        """A message of the slot's engine could not be handled: its attempt must end."""
        if slot.attempt is not None:
            slot.attempt.is_abandoned = True
            if is_infra_failure(error):
                slot.attempt.infra_failure = f"an output of the worker could not be stored: {error}"

    def requeue_now(self, slot: Slot) -> None:
        """An administrator needs the slot now: its job goes back to the queue."""
        attempt = slot.attempt
        if attempt is None or attempt.must_requeue:
            return
        attempt.must_requeue = True
        if attempt.is_sent:
            self._backend.kill(slot.id, NEEDED_BY_ADMIN)
        else:
            self._free_slot(slot, attempt)
            self._tasks.spawn(self._requeue(slot, attempt, NEEDED_BY_ADMIN))

    async def _requeue(self, slot: Slot, attempt: Attempt, reason: str) -> None:
        """The job waits again and keeps its retry, unless its infrastructure failures never end."""
        if attempt.must_requeue or self._free_retries.take(attempt.job_id, is_first=slot.failures == 1):
            await self._outcomes.requeue(attempt, reason)
        else:
            await self._outcomes.fail(attempt, reason)

    def _free_slot(self, slot: Slot, attempt: Attempt) -> None:
        slot.attempt = None
        slot.expected_models = frozenset(attempt.job.summary.models)
        self._queue.left_slot(slot.id, attempt.owner_id, attempt.job_id)
        for task in (attempt.cancelling, attempt.preparing, attempt.limit_watch):
            if task is not None:
                task.cancel()
        attempt.inputs.close()
        self._slots.idle.note_free(slot)

    # -- cancels and limits --

    def cancel(self, fence: Fence) -> None:
        """Stop the attempt of that fence, if a slot has it."""
        self._recovery.cancel(fence)
        for slot in self._slots:
            attempt = slot.attempt
            if attempt is None or attempt.fence != fence or attempt.cancelling is not None:
                continue
            if attempt.is_sent:
                self._stop(slot, attempt)
            else:
                self._free_slot(slot, attempt)
                self._tasks.spawn(self._outcomes.fail(attempt, "cancelled before a worker was ready"))

    def _stop(self, slot: Slot, attempt: Attempt) -> None:
        """Ask the engine to stop; kill it after the grace period."""
        if attempt.cancelling is None:
            self._backend.send(slot.id, wire.CancelJob(job_id=attempt.job_id, attempt=attempt.fence.attempt))
            attempt.cancelling = self._tasks.spawn(self._kill_later(slot, attempt))

    async def _kill_later(self, slot: Slot, attempt: Attempt) -> None:
        await self._sleep(self._cancel_grace_s)
        if slot.attempt is attempt:
            self._backend.kill(slot.id, f"the job did not stop within {self._cancel_grace_s:g} s of its cancel")

    def _watch_limits(self, slot: Slot, attempt: Attempt) -> None:
        if attempt.limit_watch is not None or not self._limits.applies_to(attempt):
            return
        now_s, since = self._clock.monotonic_s(), attempt.job.summary.started_at if attempt.is_reattached else None
        ran_s = (self._clock.now() - since).total_seconds() if since is not None else 0.0
        attempt.sent_s, attempt.last_seen_s = now_s - max(ran_s, 0.0), now_s
        attempt.limit_watch = self._tasks.spawn(self._enforce_limits(slot, attempt))

    async def _enforce_limits(self, slot: Slot, attempt: Attempt) -> None:
        """Stop the attempt when it exceeds a limit. Is cancelled when the attempt is over."""
        while not isinstance(found := self._limits.check(attempt, now_s=self._clock.monotonic_s()), JobError):
            await self._sleep(found)
        attempt.limit_error = found
        log.warning("job %s is stopped: %s", attempt.job_id, found.exception_message)
        self._stop(slot, attempt)

    def _done_by_limit(self, attempt: Attempt, error: JobError) -> wire.JobDone:
        """The end of an attempt that exceeded a limit."""
        return wire.JobDone(
            job_id=attempt.job_id,
            attempt=attempt.fence.attempt,
            outcome=JobState.FAILED,
            error=error,
            executed=list(attempt.executed),
            device_s=self._clock.monotonic_s() - attempt.sent_s,
        )
