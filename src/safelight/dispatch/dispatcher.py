"""The dispatcher: wires the queue, the slots, the attempts and the backend together.

A slot: *starting* -> *idle* -> *running* -> *idle* ..., and from any state *lost* -> *starting*. Behind a gate (see
``core/gate.py``) an idle slot gets no job, and a *drained* one has no engine. A slot with several infrastructure
failures in a row (``attempts/infra_failures.py``) is *shut*.

Messages of an engine are handled in their order, one after another: those that change no row become events
immediately, the others wait for their commit. All state is changed on the event loop's thread only. The effects of a
claim follow its commit (see ``Transaction.after_commit``), so that a cancel that was committed later also arrives
later.

The end of a job and the claim of the next are enqueued together and share a commit, and the slot begins before it
(``slots/claims.py``): an engine never waits for a disk. Nothing polls: the dispatcher
reacts to events (a job was queued, a cancel was requested) and to messages of the backend.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from safelight.blobs.cache import FileCache
from safelight.bus.bus import Bus
from safelight.core.clock import Clock
from safelight.core.digest import Digest
from safelight.core.engine_kind import OWN, EngineKind
from safelight.core.event import (
    AccessChanged,
    CancelRequested,
    Event,
    EventsMissed,
    GatesChanged,
    JobEnded,
    JobQueued,
    JobRequeued,
)
from safelight.core.gate import Gates, QueueGate
from safelight.core.job import Fence, JobSummary
from safelight.core.pool import Pool, QueueKey
from safelight.core.worker import SlotGate, SlotId
from safelight.db.engine import Database
from safelight.dispatch.attempts.names import NameCounters
from safelight.dispatch.attempts.outcomes import Outcomes
from safelight.dispatch.attempts.recovery import Recovery
from safelight.dispatch.attempts.run_limits import Limits
from safelight.dispatch.backend import Backend
from safelight.dispatch.engine_access import EngineAccess
from safelight.dispatch.files.look_ahead import LookAhead
from safelight.dispatch.files.transport import FileTransport
from safelight.dispatch.model_examination import ModelExamination
from safelight.dispatch.pack_requests import PackRoutes
from safelight.dispatch.remote_validation import RemoteValidation
from safelight.dispatch.scheduling.queue import SchedulerQueue
from safelight.dispatch.slots.attempt_runner import AttemptRunner
from safelight.dispatch.slots.claims import Claims
from safelight.dispatch.slots.engine_messages import EngineMessages
from safelight.dispatch.slots.registry import Slots
from safelight.dispatch.tasks import Tasks
from safelight.services import attempt as attempts
from safelight.services import gate as gates
from safelight.wire import messages as wire


class Dispatcher:
    """Mutable: everything that the parts below hold. One event loop."""

    def __init__(
        self,
        *,
        db: Database,
        bus: Bus,
        backend: Backend,
        transport: FileTransport,
        clock: Clock,
        cancel_grace_s: float,
        on_ready: Callable[[EngineKind, wire.Ready, Digest], None],
        labels: Mapping[SlotId, frozenset[Pool]] | None = None,
        engines: Mapping[SlotId, EngineKind] | None = None,
        preference: Sequence[EngineKind] = (OWN,),
        affinity_wait_s: float = 0.0,
        idle_timeout_s: float = 0.0,
        min_running: int = 0,
        limits: Limits | None = None,
        needs: Callable[[JobSummary], int] = lambda job: 0,
        on_claim: Callable[[float], None] = lambda seconds: None,
        on_models_loaded: Callable[[int], None] = lambda count: None,
        fetch_ahead: FileCache | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """``on_ready``: called for each engine that is ready, with its kind and the digest of its catalogue.
        ``labels``: of each slot; ``engines``: the kind of each slot that has not the own one; ``preference``: the
        kinds, the preferred first. ``idle_timeout_s``, ``min_running``: see ``slots/idle.py``. ``needs``: an
        estimate of the memory that a job needs on its device. ``on_claim``: receives
        the seconds that each claim took; ``on_models_loaded``: how many models an engine has loaded since it last
        reported. ``fetch_ahead``: the cache into which the files of waiting jobs are fetched
        while all slots are busy, if they come from another machine."""
        self._db = db
        self._bus = bus
        self._backend = backend
        self._transport = transport
        self._clock = clock
        self._tasks = Tasks()
        self._unsubscribe: Callable[[], None] = lambda: None
        self._queue = SchedulerQueue(clock, affinity_wait_s=affinity_wait_s, needs=needs)
        self._validation = RemoteValidation(backend)
        self._examination = ModelExamination(backend)
        self._pack_routes = PackRoutes(
            backend,
            clock=clock,
            is_idle=lambda slot: self._slots[slot].is_free,
            rank=lambda slot: self._slots[slot].rank,
        )
        self._slots = Slots(
            backend,
            db=db,
            clock=clock,
            sleep=sleep,
            tasks=self._tasks,
            labels=labels or {},
            engines=engines or {},
            preference=preference,
            idle_timeout_s=idle_timeout_s,
            min_running=min_running,
            request_claim=lambda: self._claims.request(),
            is_claiming=lambda: self._claims.are_open,
        )
        names = NameCounters(db)
        self._outcomes = Outcomes(db, names=names, transport=transport, clock=clock, sleep=sleep)
        self._recovery = Recovery(
            db, names=names, outcomes=self._outcomes, transport=transport, clock=clock, sleep=sleep
        )
        self._runner = AttemptRunner(
            backend=backend,
            transport=transport,
            clock=clock,
            sleep=sleep,
            tasks=self._tasks,
            slots=self._slots,
            queue=self._queue,
            names=names,
            outcomes=self._outcomes,
            recovery=self._recovery,
            limits=limits or Limits(),
            cancel_grace_s=cancel_grace_s,
            publish=self._publish,
            request_claim=lambda: self._claims.request(),
        )
        self._claims = Claims(
            db=db,
            clock=clock,
            sleep=sleep,
            tasks=self._tasks,
            queue=self._queue,
            slots=self._slots,
            begins_early=not backend.detached_s,
            bindings=self._pack_routes.bindings,
            begin=self._runner.begin,
            withdraw=self._runner.withdraw,
            confirmed=lambda slot: self.listener.resume(slot),
            on_claim=on_claim,
            look_ahead=LookAhead(db, fetch_ahead, self._tasks).look if fetch_ahead is not None else None,
        )
        self.listener = EngineMessages(
            db=db,
            backend=backend,
            clock=clock,
            tasks=self._tasks,
            slots=self._slots,
            runner=self._runner,
            recovery=self._recovery,
            validation=self._validation,
            examination=self._examination,
            pack_routes=self._pack_routes,
            on_ready=on_ready,
            publish=self._publish,
            request_claim=lambda: self._claims.request(),
            on_models_loaded=on_models_loaded,
        )

        self.access = EngineAccess(
            backend=backend,
            transport=transport,
            slots=self._slots,
            queue=self._queue,
            clock=clock,
            validation=self._validation,
            examination=self._examination,
            pack_routes=self._pack_routes,
        )

    async def start(self) -> None:
        """Fail the attempts of a server that stopped, unless its engines may have outlived it; then begin."""
        detached_s = self._backend.detached_s
        await self._recovery.start(self._backend.slots)
        if not detached_s:
            await self._recovery.finish(within_s=0)
        self._unsubscribe = self._bus.subscribe(self._on_event)
        self._slots.load_gates(await self._db.read(gates.load))
        for key in await self._db.read(attempts.waiting_keys):
            self._queue.add(key)
        await self._backend.start(self.listener)
        if not self._recovery.unheard:
            self._slots.idle.begin()
        if detached_s:
            self._tasks.spawn(self._recovery.finish(within_s=detached_s))

    async def stop(self) -> None:
        """End the engines and requeue their jobs. Engines that can outlive this server keep running for the next."""
        self.close()
        detached = self._detachable()
        await self._backend.stop(detach=detached)
        await self._tasks.cancel()
        await self._claims.settled()
        for slot in self._slots:
            if slot.attempt is not None:
                is_detached = slot.id in detached
                await (self._outcomes.detach if is_detached else self._outcomes.requeue_at_stop)(slot.attempt)

    def close(self) -> None:
        """Receive no further events or messages, and claim no further jobs."""
        self.listener.close()
        self._claims.close()
        self._unsubscribe()

    def _detachable(self) -> Collection[SlotId]:
        """The slots that work on an attempt to which another server may reattach."""
        if not self._backend.detached_s:
            return ()
        ready = ((slot.id, slot.attempt) for slot in self._slots if slot.ready is not None)
        at_work = {slot for slot, attempt in ready if attempt and attempt.is_sent and not attempt.is_abandoned}
        return at_work.union(self._recovery.unheard)

    @property
    def is_here(self) -> bool:
        """Whether this server has the dispatcher (``leadership.py``)."""
        return True

    # -- events of the bus --

    def _on_event(self, event: Event) -> None:
        match event:
            case JobQueued() | JobRequeued():
                if isinstance(event, JobQueued) and event.secrets:
                    self._runner.keep_secrets(event.job_id, event.secrets)
                self._queue.add(QueueKey(event.owner_id, event.pool, event.engines))
                self._claims.request()
            case CancelRequested():
                self._runner.cancel(Fence(event.job_id, event.attempt))
            case JobEnded():
                self._runner.forget(event.job_id)
                self._slots.outgrown.forget(event.job_id)
                if self._queue.ended(event.owner_id):
                    self._claims.request()
            case GatesChanged():
                self._gates_changed(event)
            case EventsMissed() | AccessChanged():  # a user may have been disabled, whose jobs must end
                self._tasks.spawn(self._read_again())

    async def _read_again(self) -> None:
        """Read what missed events would have reported: waiting jobs, gates, cancels."""
        gates_now, keys, running = await self._db.read(
            lambda tx: (gates.load(tx), attempts.waiting_keys(tx), attempts.running(tx))
        )
        for key in keys:
            self._queue.add(key)
        for job in running:
            if job.cancel_requested:
                self._runner.cancel(Fence(job.id, job.attempt))
        self._slots.follow_gates(gates_now)

    def _gates_changed(self, event: GatesChanged) -> None:
        self._slots.forgive(event.opened)
        if event.is_at_once:
            self._requeue_behind(event.gates)
            if self._claims.are_open:
                self._tasks.spawn(self._requeue_after_claims(event.gates))
        self._slots.follow_gates(event.gates)

    def _requeue_behind(self, gates: Gates) -> None:
        """Requeue the jobs that run behind a gate which an administrator needs empty now."""
        for slot in self._slots:
            if gates.queue is QueueGate.CLOSED or gates.of(slot.id) is SlotGate.DRAINED:
                self._runner.requeue_now(slot)

    async def _requeue_after_claims(self, gates: Gates) -> None:
        """Also requeue the jobs that were being claimed when the gate closed."""
        await self._claims.settled()
        self._requeue_behind(gates)

    def _publish(self, event: Event) -> None:
        self._bus.publish([event])
