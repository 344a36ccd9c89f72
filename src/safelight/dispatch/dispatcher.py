"""From the queue to the workers and back: claims jobs for slots, sends them, and turns what engines say into
transactions and events.

A slot: *starting* -> *idle* -> *running* -> *idle* ..., and from anywhere *lost* -> *starting*; behind a gate (see
``core/gate.py``) an idle slot gets no job, and *drained* it has no engine. A slot that loses one attempt after another
beside the node (``losses.py``) is *shut*. What an engine says is
handled in its order, one message after another; those that change no row become events at once, the others wait for
their commit. All state is touched on the event loop's thread only; a claim's effects follow its commit (see
``Transaction.after_commit``), so that a cancel that was committed later also arrives later.

The end of a job and the claim of the next are enqueued together and share a commit. Nothing polls: the dispatcher
wakes at events (a job was queued, a cancel was asked for) and at what the backend says.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from safelight.bus.bus import Bus
from safelight.core.asset import Asset
from safelight.core.clock import Clock, from_ms
from safelight.core.digest import Digest
from safelight.core.errors import SafelightError
from safelight.core.event import (
    AccessChanged,
    CancelRequested,
    Event,
    EventsMissed,
    GatesChanged,
    JobEnded,
    JobQueued,
    JobReattached,
    JobRequeued,
    LogWritten,
)
from safelight.core.gate import Gates, QueueGate
from safelight.core.ids import JobId, UserId
from safelight.core.job import Fence, JobError, JobState, JobSummary
from safelight.core.pack import PackStatus, pack_statuses
from safelight.core.pool import Pool, QueueKey
from safelight.core.worker import EngineInfo, SlotGate, SlotId, SlotStatus
from safelight.db.engine import Database, Transaction
from safelight.dispatch.attempts.attempt import Run, run_job
from safelight.dispatch.attempts.infra_failures import (
    LOSSES_TO_SHUT,
    SHUT_S,
    FreeRetries,
    is_infra_failure,
    is_slot_failure,
)
from safelight.dispatch.attempts.limits import Limits
from safelight.dispatch.attempts.names import NameCounters
from safelight.dispatch.attempts.outcomes import Outcomes
from safelight.dispatch.attempts.recovery import Recovery
from safelight.dispatch.backend import Backend
from safelight.dispatch.files.outputs import series_of
from safelight.dispatch.files.transport import FileTransport, soon
from safelight.dispatch.journal import Journal
from safelight.dispatch.pack_routes import PackRoutes
from safelight.dispatch.remote_validation import RemoteValidation, Violations
from safelight.dispatch.scheduling.affinity import Pick, SlotView
from safelight.dispatch.scheduling.queue import SchedulerQueue
from safelight.dispatch.slots.idle import IdleScaler
from safelight.dispatch.slots.slot import Found, Lost, Slot
from safelight.services import attempt as attempts
from safelight.services import gate as gates
from safelight.services import node as nodes
from safelight.services.attempt import Claim, Reattached
from safelight.wire import messages as wire

log = logging.getLogger(__name__)

_Work = Callable[[], Coroutine[Any, Any, None]]
"""What a message asks for that must wait. Not yet a coroutine: a server that stops may never begin it."""

SENT_BACK = "an administrator needs the worker at once"

CLAIM_PAUSE_S = 0.5
"""Before the next try of a claim that failed."""


class Dispatcher:
    """Mutable: slots, who waits for them, and the secrets of jobs that have not ended. One event loop."""

    def __init__(
        self,
        *,
        db: Database,
        bus: Bus,
        backend: Backend,
        transport: FileTransport,
        clock: Clock,
        cancel_grace_s: float,
        on_ready: Callable[[wire.Ready, Digest], None],
        labels: Mapping[SlotId, frozenset[Pool]] | None = None,
        affinity_wait_s: float = 0.0,
        idle_s: float = 0.0,
        min_running: int = 0,
        limits: Limits | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """``on_ready`` hears of each engine that is ready, with the digest of its catalogue. ``labels`` of slots.
        ``idle_s``, ``min_running``: see ``dormancy.py``."""
        self._db = db
        self._bus = bus
        self._backend = backend
        self._exchange = transport
        self._clock = clock
        self._cancel_grace_s = cancel_grace_s
        self._on_ready = on_ready
        self._sleep = sleep
        self._slots = {slot: Slot(slot, (labels or {}).get(slot, frozenset())) for slot in backend.slots}
        self._dormancy = IdleScaler(
            self._slots.values(), backend=backend, clock=clock, sleep=sleep, idle_s=idle_s, stay=min_running
        )
        self._limits = limits or Limits()
        self._mishaps = FreeRetries(slots=len(self._slots))
        self._is_waking = False
        self._wants_to_wake = False
        self._taken: set[SlotId] = set()  # the slots that got a job since the last count of those that wait
        self._line = SchedulerQueue(clock, affinity_wait_s=affinity_wait_s)
        self._gates = Gates()
        self._judging = RemoteValidation(backend)
        self._pack_routes = PackRoutes(backend, clock=clock, is_idle=lambda slot: self._slots[slot].is_free)
        self.pack_of_route = self._pack_routes.pack_of
        self.ask_pack = self._pack_routes.ask
        self._names = NameCounters(db)
        self._outcomes = Outcomes(db, names=self._names, transport=self._exchange, clock=clock, sleep=sleep)
        self._resuming = Recovery(db, names=self._names, outcomes=self._outcomes, transport=self._exchange, sleep=sleep)
        self._secrets: dict[JobId, dict[str, str]] = {}
        self._claiming: asyncio.Future[None] | None = None
        self._is_stopping = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._unsubscribe: Callable[[], None] = lambda: None

    async def start(self) -> None:
        """Give up what a stopped server had running, unless its engines may have outlived it, then begin."""
        detached_s = self._backend.detached_s
        await self._resuming.start(self._backend.slots)
        if not detached_s:
            await self._resuming.end(within_s=0)
        self._unsubscribe = self._bus.subscribe(self._hear)
        self._gates = await self._db.read(gates.load)
        for lane in await self._db.read(attempts.waiting_keys):
            self._line.wait(lane)
        await self._backend.start(self)
        if not self._resuming.silent:
            self._dormancy.begin()
        if detached_s:
            self._spawn(self._resuming.end(within_s=detached_s))

    async def stop(self) -> None:
        """End the engines, and the jobs that ran wait again; but what can outlive this server goes on for the next."""
        self._is_stopping = True
        self._unsubscribe()
        leaving = self._leaving()
        await self._backend.stop(leaving=leaving)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._claiming is not None:
            await asyncio.wait([self._claiming])
        for slot in self._slots.values():
            if slot.run is not None:
                await (self._outcomes.leave if slot.id in leaving else self._outcomes.release)(slot.run)

    def _leaving(self) -> Collection[SlotId]:
        """The slots that work on an attempt which another server may resume."""
        if not self._backend.detached_s:
            return ()
        slots = ((slot.id, slot.run) for slot in self._slots.values() if slot.ready is not None)
        at_work = {slot for slot, run in slots if run is not None and run.is_sent and not run.is_given_up}
        return at_work.union(self._resuming.silent)

    @property
    def is_here(self) -> bool:
        """As opposed to another server's (``dispatch/leadership.py``)."""
        return True

    def engines(self) -> Sequence[EngineInfo]:
        """What each engine that is ready last said of itself."""
        return [slot.info for slot in self._slots.values() if slot.info is not None]

    def slots(self) -> Sequence[SlotStatus]:
        return [slot.status(self._gates.of(slot.id)) for slot in self._slots.values()]

    def packs(self) -> Mapping[SlotId, Sequence[PackStatus]]:
        """The node packs of each engine that is ready."""
        ready = {slot.id: slot.ready for slot in self._slots.values() if slot.ready is not None}
        return {
            slot: pack_statuses((node.module for node in said.nodes), said.failed_packs) for slot, said in ready.items()
        }

    def free(self, *, owner_id: UserId | None, unload_models: bool, free_memory: bool) -> None:
        """Tell engines to give up memory when they are next idle: all, or those whose latest job is the owner's."""
        for slot in self._slots.values():
            if owner_id in (None, slot.latest_owner_id):
                self._backend.send(slot.id, wire.FreeMemory(unload_models=unload_models, free_memory=free_memory))

    async def validate_inputs(
        self, owner_id: UserId, *, prompt: Mapping[str, Any], targets: Sequence[str], files: Mapping[str, Asset]
    ) -> Violations:
        """What nodes object to, by call id, as far as an engine answers at once and the files are soon here. An idle
        engine is asked first."""
        with ExitStack() as held:
            ready = [slot for slot in self._slots.values() if slot.ready is not None]
            if not ready:
                return {}
            slot = min(ready, key=lambda slot: slot.run is not None)
            refs = await soon(self._exchange, files, held, slot=slot.id)
            if refs is None:
                return {}
            return await self._judging.ask(slot.id, owner_id=owner_id, prompt=prompt, targets=targets, files=refs)

    # -- what the backend says (dispatch/backend.py: Listener) --

    def engine_ready(self, slot: SlotId, ready: wire.Ready) -> None:
        self.engine_message(slot, ready)

    def engine_reattached(self, slot: SlotId, ready: wire.Ready, journal: Journal) -> None:
        self._slots[slot].inbox.append(Found(ready, journal))
        self._work_off(self._slots[slot])

    def engine_message(self, slot: SlotId, message: wire.ToServer) -> None:
        self._slots[slot].inbox.append(message)
        self._work_off(self._slots[slot])

    def engine_lost(self, slot: SlotId, reason: str) -> None:
        self._slots[slot].inbox.append(Lost(reason))
        self._work_off(self._slots[slot])

    def _work_off(self, slot: Slot) -> None:
        """Handle the inbox up to a message that must wait for something; go on when it has."""
        while slot.inbox and not slot.is_busy and not self._is_stopping:
            try:
                work = self._handle(slot, slot.inbox.popleft())
            except Exception as error:
                self._give_engine_up(slot, error)
                continue
            if work is not None:
                slot.is_busy = True
                self._spawn(self._work_on(slot, work))

    async def _work_on(self, slot: Slot, work: _Work) -> None:
        try:
            await work()
        except Exception as error:
            self._give_engine_up(slot, error)
        slot.is_busy = False
        self._work_off(slot)

    def _give_engine_up(self, slot: Slot, error: Exception) -> None:
        """A boundary: whatever an engine says and whatever fails at it, the job ends and the others go on."""
        log.error("what the worker %s said cannot be used", slot.id, exc_info=error)
        if slot.run is not None:
            slot.run.is_given_up = True
            if is_infra_failure(error):
                slot.run.mishap = f"what the worker made could not be kept: {error}"
        self._backend.kill(slot.id, f"the worker's message could not be used: {error}")

    def _handle(self, slot: Slot, message: wire.ToServer | Found | Lost) -> _Work | None:
        if isinstance(message, wire.JobMessage):
            run = slot.run
            if run is None or run.is_given_up or Fence(JobId(message.job_id), message.attempt) != run.fence:
                return None  # of an attempt that is over
            run.heard_s = self._clock.monotonic_s()
            return self._handle_job_message(slot, run, message)
        match message:
            case wire.Ready():
                self._slot_ready(slot, message)
            case Found():
                return partial(self._slot_found, slot, message.ready, message.journal)
            case Lost():
                return partial(self._slot_lost, slot, message.reason)
            case wire.Pong():
                slot.info = message.info
                if slot.info.warm_models:
                    slot.recent = frozenset()
            case wire.InputsValidated():
                self._judging.answered(message)
            case wire.PackResponse():
                self._pack_routes.answered(message)
            case wire.PackMessage():
                if (event := self._pack_routes.said(message)) is not None:
                    self._publish(event)
            case wire.LogLines():
                self._publish(self._log_written(slot, message))
        return None

    def _handle_job_message(self, slot: Slot, run: Run, message: wire.JobMessage) -> _Work | None:
        match message:
            case wire.ReserveNames():
                return partial(self._reserve, slot, run, message)
            case wire.CheckFiles():
                return partial(self._check_files, slot, run, message)
            case wire.OutputReady() if message.files and run.kept:
                run.kept -= 1
            case wire.OutputReady() if message.files:
                return partial(self._record, slot, run, message)
            case wire.JobDone():
                self._finish(slot, run, message)
            case wire.AttemptLost():
                run.mishap, run.is_given_up = message.reason, True
                self._backend.kill(slot.id, message.reason)
            case wire.CallReport() | wire.OutputReady():
                self._publish(run.note(message, self._clock.now()))
        return None

    def _slot_ready(self, slot: Slot, ready: wire.Ready) -> None:
        self._meet(slot, ready)
        self._resuming.heard(slot.id)
        slot.is_retired = False
        if slot.run is not None and slot.run.message is not None:
            self._send(slot, slot.run)
        self._retire_drained(slot)
        self._doze(slot)
        self._claim()

    def _meet(self, slot: Slot, ready: wire.Ready) -> None:
        slot.ready, slot.info = ready, ready.info
        self._pack_routes.ready(slot.id, ready.routes)
        self._spawn(self._keep_catalogue(ready))

    async def _slot_found(self, slot: Slot, ready: wire.Ready, journal: Journal) -> None:
        """An engine works on what another server sent, or has just ended that; a fresh one will follow it."""
        slot.is_passing = True
        self._meet(slot, ready)
        found = await self._resuming.find(journal)
        self._resuming.heard(slot.id)
        if found is not None:
            await self._resume(slot, found, journal)
        elif not journal.is_over:
            self._backend.kill(slot.id, f"attempt {journal.attempt} of job {journal.job_id} is over")

    def _retire_drained(self, slot: Slot) -> None:
        """End the engine of a slot that is drained or shut, when it has nothing to do any more."""
        is_drained = self._gates.of(slot.id) is SlotGate.DRAINED
        if (is_drained or slot.shut) and slot.run is None and not slot.is_retired:
            slot.is_retired = True
            self._backend.retire(slot.id, "the slot is drained" if is_drained else f"the slot is shut: {slot.shut}")

    async def _slot_lost(self, slot: Slot, reason: str) -> None:
        slot.ready = None
        if not slot.is_asleep:  # what its device is, is still so
            slot.info = None
        slot.recent = frozenset()
        slot.is_passing = False
        self._judging.lost(slot.id)
        self._pack_routes.lost(slot.id)
        run = slot.run
        if run is None or run.fetching is not None:  # the next engine gets what this one was not sent
            return
        self._leave(slot, run)
        if run.mishap:
            self._count_loss(slot, run.mishap)
        self._retire_drained(slot)
        if run.verdict is not None:
            await self._outcomes.finish(run, self._done_by(run, run.verdict))
        elif run.mishap or run.is_sent_back:
            await self._give_back(slot, run, run.mishap or SENT_BACK)
        else:
            await self._outcomes.lose(run, reason)

    # -- losses beside the node (dispatch/attempts/infra_failures.py) --

    async def _give_back(self, slot: Slot, run: Run, reason: str) -> None:
        """The job waits again, and loses no retry; unless that happens to it without an end."""
        if run.is_sent_back or self._mishaps.may_be_free(run.job_id, is_first=slot.losses == 1):
            await self._outcomes.give_back(run, reason)
        else:
            await self._outcomes.lose(run, reason)

    def _mislay(self, slot: Slot, run: Run, error: Exception) -> None:
        """The engine was never sent the job."""
        log.error("job %s could not be sent to a worker", run.job_id, exc_info=error)
        run.mishap = f"the job could not be sent to a worker: {error}"
        self._leave(slot, run)
        if is_slot_failure(error):
            self._count_loss(slot, run.mishap)
            if slot.ready is not None:  # it may write to a folder that is no more: another engine is let into the next
                slot.ready = None
                self._backend.kill(slot.id, run.mishap)
        self._retire_drained(slot)
        self._spawn(self._give_back(slot, run, run.mishap))

    def _count_loss(self, slot: Slot, reason: str) -> None:
        slot.losses += 1
        if slot.losses >= LOSSES_TO_SHUT and not slot.shut:
            slot.shut = reason
            log.error("the slot %s is shut, after %d attempts in a row were lost: %s", slot.id, slot.losses, reason)
            self._spawn(self._open_later(slot, reason))

    async def _open_later(self, slot: Slot, reason: str) -> None:
        """What was wrong may be over: one more attempt shows it."""
        await self._sleep(SHUT_S)
        if slot.shut is reason:
            slot.losses = LOSSES_TO_SHUT - 1
            self._open(slot)
            self._claim()

    def _open(self, slot: Slot) -> None:
        slot.shut = ""
        if self._gates.of(slot.id) is not SlotGate.DRAINED:
            self._restore(slot)

    async def _keep_catalogue(self, ready: wire.Ready) -> None:
        body = await asyncio.to_thread(nodes.encode, ready.nodes)
        digest = nodes.digest_of(body)
        self._on_ready(ready, digest)
        now = self._clock.now()
        await self._db.write(lambda tx: nodes.save(tx, digest=digest, body=body, now=now))

    def _log_written(self, slot: Slot, message: wire.LogLines) -> LogWritten:
        is_own = slot.run is not None and slot.run.job_id == message.job_id
        entries = [(from_ms(at_ms), line) for at_ms, line in message.lines]
        return LogWritten(slot.run.owner_id if slot.run and is_own else None, entries)

    # -- claiming --

    def _claim(self) -> None:
        """Fill one idle slot, if somebody waits for one; its commit comes back here for the next."""
        if self._claiming is not None or self._is_stopping or not self._gates.starts_jobs:
            return
        places = self._places()
        self._wake_if_wanted()
        lanes = self._line.lanes(places)
        if not lanes:
            return
        now = self._clock.now()

        def claim(tx: Transaction) -> None:
            pick = Pick(None, None)

            def choose(line: Iterable[JobSummary]) -> JobSummary | None:
                nonlocal pick
                pick = self._line.pick(line, places)
                return pick.job

            found = attempts.claim_next(tx, keys=lanes, choose=choose, now=now)
            tx.after_commit(lambda: self._claimed(pick, found))

        # Should a power cut undo a claim, it has ended this machine's engines too, and the job simply waits.
        self._claiming = self._db.enqueue(claim, is_durable=False)
        self._claiming.add_done_callback(self._claim_ended)

    def _places(self) -> list[SlotView]:
        open_slots = {slot.id: slot.labels for slot in self._slots.values() if self._gates.of(slot.id) is SlotGate.OPEN}
        bonds = {owner: slot for owner, slot in self._pack_routes.bonds().items() if slot in open_slots}
        return [
            slot.place(
                self._gates.of(slot.id),
                bound={owner: open_slots[other] for owner, other in bonds.items() if other != slot.id},
            )
            for slot in self._slots.values()
        ]

    def _claimed(self, pick: Pick, claim: Claim) -> None:
        self._claiming = None
        self._line.claimed(pick, claim)
        if claim.job is not None and pick.slot is not None:
            slot = self._slots[pick.slot]
            self._taken.add(slot.id)
            self._begin(slot, claim)
            self._restore(slot)  # should it have been drained while the claim was under way
        elif pick.passed:
            self._spawn(self._claim_later(self._line.patience_s(pick)))
        if claim.job is not None or claim.idle or claim.at_limit:
            self._claim()

    def _doze(self, slot: Slot) -> None:
        def may_sleep() -> bool:
            return self._claiming is None and self._gates.of(slot.id) is SlotGate.OPEN

        if slot.is_free and self._dormancy.note_free(slot):
            slot.dozing = self._spawn(self._dormancy.follow(slot, may_sleep=may_sleep))

    def _wake_if_wanted(self) -> None:
        """By those who wait, for one of the slots that are asleep."""
        if not self._line.lanes(self._dormancy.places):
            return
        self._wants_to_wake = True
        if not self._is_waking:
            self._is_waking = True
            self._spawn(self._wake())

    async def _wake(self) -> None:
        """A job that was counted may have gone to a slot before the count is here: it needs no other. Then, and where a
        job came meanwhile, they are counted again."""
        try:
            while self._wants_to_wake or self._taken:
                self._wants_to_wake = False
                self._taken.clear()
                waiting = await self._db.read(attempts.depths)
                self._dormancy.wake(
                    waiting, taken=self._taken, is_open=lambda slot: self._gates.of(slot) is SlotGate.OPEN
                )
        finally:
            self._is_waking = False

    async def _claim_later(self, pause_s: float) -> None:
        """For those who would rather wait for a busy slot: their patience ends."""
        await self._sleep(pause_s)
        self._claim()

    def _claim_ended(self, claim: "asyncio.Future[None]") -> None:
        if (error := claim.exception()) is not None:
            log.error("no job could be claimed", exc_info=error)
            self._spawn(self._claim_again())

    async def _claim_again(self) -> None:
        await self._sleep(CLAIM_PAUSE_S)
        self._claiming = None
        self._claim()

    # -- a run --

    def _begin(self, slot: Slot, claim: Claim) -> None:
        """Send a claimed job when its files are here; to an engine that was lost meanwhile, when the next is ready."""
        assert claim.job is not None
        slot.run = run = Run(claim.job, own_limit_s=claim.run_limit_s)
        slot.latest_owner_id = run.owner_id
        try:
            run.staging = self._exchange.begin(slot.id)
            refs = self._exchange.at_hand(claim.files, run.held, slot=slot.id, staging=run.staging)
            if refs is not None:
                self._order(slot, run, refs)
            else:
                run.fetching = self._spawn(self._fetch(slot, run, claim.files))
        except Exception as error:
            self._mislay(slot, run, error)

    async def _fetch(self, slot: Slot, run: Run, files: Mapping[str, Asset]) -> None:
        """Is cancelled when the run is over."""
        try:
            refs = await self._exchange.fetch(files, run.held, slot=slot.id, staging=run.staging)
            run.fetching = None
            self._order(slot, run, refs)
        except Exception as error:
            run.fetching = None
            self._mislay(slot, run, error)
        finally:
            if slot.run is not run:
                run.held.close()  # also of what came while it was cancelled

    async def _resume(self, slot: Slot, found: Reattached, journal: Journal) -> None:
        """Follow an attempt from where another server was cut off: nobody hears again what that one told."""
        run = Run(found.job, is_sent=True, is_resumed=True, kept=found.recorded, own_limit_s=found.run_limit_s)
        slot.run = run
        log.info("job %s goes on under attempt %d, which another server began", run.job_id, run.fence.attempt)
        self._line.resumed(slot.id, run.owner_id, run.job_id, weight=found.weight)
        run.staging = self._exchange.resume(journal.staging)
        self._spawn(self._hold(slot, run, found.files))
        if found.job.summary.cancel_requested or self._resuming.is_cancelled(run.fence):
            self._cancel(run.fence)
        for at_ms, message in journal.said:
            match message:
                case wire.ReserveNames() if message.request_id in journal.numbers:
                    pass
                case (
                    wire.ReserveNames()
                    | wire.CheckFiles()  # an answer that was given before is passed over
                    | wire.JobDone()
                    | wire.AttemptLost()
                    | wire.OutputReady(files=[_, *_])
                ):
                    work = self._handle_job_message(slot, run, message)
                    if work is not None:
                        await work()
                case wire.CallReport() | wire.OutputReady():
                    run.note(message, from_ms(at_ms))
        if slot.run is run:
            words = run.words(self._clock.now())
            running = [*run.calls.values()]
            self._publish(JobReattached(**words, attempt=run.fence.attempt, running=running, finished=journal.finished))
            self._begin_watch(slot, run)

    async def _hold(self, slot: Slot, run: Run, files: Mapping[str, Asset]) -> None:
        """Keep the files of a resumed attempt where its engine finds them."""
        try:
            await self._exchange.fetch(files, run.held, slot=slot.id, staging=run.staging)
        except SafelightError as error:
            log.warning("input files of job %s may be missing: %s", run.job_id, error)
        finally:
            if slot.run is not run:
                run.held.close()

    def _order(self, slot: Slot, run: Run, refs: Mapping[str, wire.FileRef]) -> None:
        run.message = run_job(run.job, run.staging, refs, secrets=self._secrets.get(run.job_id, {}))
        if slot.ready is not None:
            self._send(slot, run)

    def _send(self, slot: Slot, run: Run) -> None:
        assert run.message is not None
        self._backend.send(slot.id, run.message)
        run.is_sent = True
        self._begin_watch(slot, run)

    def _begin_watch(self, slot: Slot, run: Run) -> None:
        if run.watch is not None or not self._limits.applies_to(run):
            return
        now_s, since = self._clock.monotonic_s(), run.job.summary.started_at
        ran_s = (self._clock.now() - since).total_seconds() if run.is_resumed and since is not None else 0.0
        run.sent_s, run.heard_s = now_s - max(ran_s, 0.0), now_s
        run.watch = self._spawn(self._watch(slot, run))

    async def _watch(self, slot: Slot, run: Run) -> None:
        """End the run when it exceeds a limit. Is cancelled when the run is over."""
        while not isinstance(judged := self._limits.judge(run, now_s=self._clock.monotonic_s()), JobError):
            await self._sleep(judged)
        run.verdict = judged
        log.warning("job %s is ended: %s", run.job_id, judged.exception_message)
        self._stop_run(slot, run)

    def _done_by(self, run: Run, verdict: JobError) -> wire.JobDone:
        """The end of a run that exceeded a limit."""
        return wire.JobDone(
            job_id=run.job_id,
            attempt=run.fence.attempt,
            outcome=JobState.FAILED,
            error=verdict,
            executed=list(run.executed),
            device_s=self._clock.monotonic_s() - run.sent_s,
        )

    async def _reserve(self, slot: Slot, run: Run, message: wire.ReserveNames) -> None:
        series = series_of(run.owner_id, message)
        await self._resuming.settled(run.owner_id)
        first = await self._names.reserve(series, job_id=run.job_id, count=message.count)
        self._backend.send(slot.id, wire.NamesReserved(request_id=message.request_id, first=first))

    async def _check_files(self, slot: Slot, run: Run, message: wire.CheckFiles) -> None:
        gone = await self._outcomes.gone_files(run, message.files)
        self._backend.send(slot.id, wire.FilesChecked(request_id=message.request_id, gone=gone))

    async def _record(self, slot: Slot, run: Run, message: wire.OutputReady) -> None:
        def is_wanted() -> bool:
            return run.grace is None and not any(isinstance(said, Lost) for said in slot.inbox)

        kept = await self._exchange.keep(
            message.files, staging=run.staging, is_wanted=is_wanted, may_be_kept=run.is_resumed
        )
        await self._outcomes.record(run, (message.made.call, message.made.output), kept)

    def _finish(self, slot: Slot, run: Run, done: wire.JobDone) -> None:
        """Keep the end, and claim the next job in the same commit."""
        if done.outcome is JobState.COMPLETED:
            slot.losses = 0
        elif run.verdict is not None:
            done = self._done_by(run, run.verdict)
        self._leave(slot, run)
        self._retire_drained(slot)
        rest = self._outcomes.finish(run, done)
        self._claim()
        self._spawn(rest)

    def _leave(self, slot: Slot, run: Run) -> None:
        slot.run = None
        slot.recent = frozenset(run.job.summary.models)
        self._line.left(slot.id, run.owner_id, run.job_id)
        for task in (run.grace, run.fetching, run.watch):
            if task is not None:
                task.cancel()
        run.held.close()
        self._doze(slot)

    # -- what the bus says --

    def _hear(self, event: Event) -> None:
        match event:
            case JobQueued() | JobRequeued():
                if isinstance(event, JobQueued) and event.secrets:
                    self._secrets[event.job_id] = dict(event.secrets)
                self._line.wait(QueueKey(event.owner_id, event.pool))
                self._claim()
            case CancelRequested():
                self._cancel(Fence(event.job_id, event.attempt))
            case JobEnded():
                self._secrets.pop(event.job_id, None)
                self._mishaps.forget(event.job_id)
                if self._line.ended(event.owner_id):
                    self._claim()
            case GatesChanged():
                self._gates_changed(event)
            case EventsMissed() | AccessChanged():  # a user may have been disabled, whose jobs shall end
                self._spawn(self._look_again())

    async def _look_again(self) -> None:
        """For what should have been heard of: who waits, what was paused, which jobs shall end."""
        gates_now, lanes, running = await self._db.read(
            lambda tx: (gates.load(tx), attempts.waiting_keys(tx), attempts.running(tx))
        )
        for lane in lanes:
            self._line.wait(lane)
        for job in running:
            if job.cancel_requested:
                self._cancel(Fence(job.id, job.attempt))
        self._follow_gates(gates_now)

    def _gates_changed(self, event: GatesChanged) -> None:
        if event.opened in self._slots:
            slot = self._slots[event.opened]
            slot.losses, slot.shut = 0, ""
        if event.is_at_once:
            self._send_back(event.gates)
            if self._claiming is not None:
                self._spawn(self._send_back_later(self._claiming, event.gates))
        self._follow_gates(event.gates)

    def _follow_gates(self, gates: Gates) -> None:
        self._gates = gates
        for slot in self._slots.values():
            self._retire_drained(slot)
            if gates.of(slot.id) is not SlotGate.DRAINED and not slot.shut:
                self._restore(slot)
        self._claim()

    def _send_back(self, gates: Gates) -> None:
        """What runs behind a gate that must be empty at once goes back to the queue."""
        for slot in self._slots.values():
            run = slot.run
            is_meant = gates.queue is QueueGate.CLOSED or gates.of(slot.id) is SlotGate.DRAINED
            if run is None or not is_meant or run.is_sent_back:
                continue
            run.is_sent_back = True
            if run.is_sent:
                self._backend.kill(slot.id, SENT_BACK)
            else:
                self._leave(slot, run)
                self._spawn(self._give_back(slot, run, SENT_BACK))

    async def _send_back_later(self, claiming: "asyncio.Future[None]", gates: Gates) -> None:
        """Also what was on its way when the gate was shut."""
        await asyncio.wait([claiming])
        self._send_back(gates)

    def _restore(self, slot: Slot) -> None:
        if slot.is_retired:
            slot.is_retired = False
            if not slot.is_asleep:
                self._backend.restore(slot.id)

    def _cancel(self, fence: Fence) -> None:
        self._resuming.cancel(fence)
        for slot in self._slots.values():
            run = slot.run
            if run is None or run.fence != fence or run.grace is not None:
                continue
            if run.is_sent:
                self._stop_run(slot, run)
            else:
                self._leave(slot, run)
                self._spawn(self._outcomes.lose(run, "cancelled before a worker was ready"))

    def _stop_run(self, slot: Slot, run: Run) -> None:
        """Softly, then by the end of its process."""
        if run.grace is None:
            self._backend.send(slot.id, wire.CancelJob(job_id=run.job_id, attempt=run.fence.attempt))
            run.grace = self._spawn(self._kill_later(slot, run))

    async def _kill_later(self, slot: Slot, run: Run) -> None:
        await self._sleep(self._cancel_grace_s)
        if slot.run is run:
            self._backend.kill(slot.id, f"the job did not stop within {self._cancel_grace_s:g} s of its cancel")

    def _publish(self, event: Event) -> None:
        self._bus.publish([event])

    def _spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)
        return task

    def _task_ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the dispatcher failed at a job", exc_info=error)
