"""Receives the messages of engines, and passes each to the part that it concerns."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from safelight.core.clock import Clock, from_ms
from safelight.core.digest import Digest
from safelight.core.engine_kind import EngineKind
from safelight.core.event import Event, LogWritten
from safelight.core.ids import JobId
from safelight.core.job import Fence
from safelight.core.worker import SlotId
from safelight.db.engine import Database
from safelight.dispatch.attempts.recovery import Recovery
from safelight.dispatch.backend import Backend
from safelight.dispatch.journal import Journal
from safelight.dispatch.model_examination import ModelExamination
from safelight.dispatch.pack_requests import PackRoutes
from safelight.dispatch.remote_validation import RemoteValidation
from safelight.dispatch.slots.attempt_runner import AttemptRunner
from safelight.dispatch.slots.inbox import Inbox, Work
from safelight.dispatch.slots.registry import Slots
from safelight.dispatch.slots.slot import EngineEnded, EngineReattached, Slot, SlotMessage
from safelight.dispatch.tasks import Tasks
from safelight.services import node as nodes
from safelight.wire import messages as wire

log = logging.getLogger(__name__)


class EngineMessages:
    """The :class:`~safelight.dispatch.backend.Listener` of the dispatcher."""

    def __init__(
        self,
        *,
        db: Database,
        backend: Backend,
        clock: Clock,
        tasks: Tasks,
        slots: Slots,
        runner: AttemptRunner,
        recovery: Recovery,
        validation: RemoteValidation,
        examination: ModelExamination,
        pack_routes: PackRoutes,
        on_ready: Callable[[EngineKind, wire.Ready, Digest], None],
        publish: Callable[[Event], None],
        request_claim: Callable[[], None],
        on_models_loaded: Callable[[int], None],
    ) -> None:
        """``on_ready``: called for each engine that is ready, with its kind and the digest of its catalogue.
        ``on_models_loaded``: how many models an engine has loaded since it last reported."""
        self._db = db
        self._backend = backend
        self._clock = clock
        self._tasks = tasks
        self._slots = slots
        self._runner = runner
        self._recovery = recovery
        self._validation = validation
        self._examination = examination
        self._pack_routes = pack_routes
        self._on_ready = on_ready
        self._publish = publish
        self._request_claim = request_claim
        self._on_models_loaded = on_models_loaded
        self._inbox = Inbox(tasks=tasks, handle=self._handle, on_error=self._could_not_handle)

    def close(self) -> None:
        """Handle no further messages."""
        self._inbox.close()

    def resume(self, slot: Slot) -> None:
        """Handle the slot's messages again, after its claim."""
        self._inbox.resume(slot)

    def engine_ready(self, slot: SlotId, ready: wire.Ready) -> None:
        self._inbox.put(self._slots[slot], ready)

    def engine_reattached(self, slot: SlotId, ready: wire.Ready, journal: Journal) -> None:
        self._inbox.put(self._slots[slot], EngineReattached(ready, journal))

    def engine_message(self, slot: SlotId, message: wire.ToServer) -> None:
        self._inbox.put(self._slots[slot], message)

    def engine_lost(self, slot: SlotId, reason: str) -> None:
        self._inbox.put(self._slots[slot], EngineEnded(reason))

    def _handle(self, slot: Slot, message: SlotMessage) -> Work | None:
        match message:
            case wire.JobMessage():
                attempt = slot.attempt
                fence = Fence(JobId(message.job_id), message.attempt)
                if attempt is None or attempt.is_abandoned or fence != attempt.fence:
                    return None  # of an attempt that is over
                attempt.last_seen_s = self._clock.monotonic_s()
                return self._runner.handle(slot, attempt, message)
            case wire.Ready():
                self._engine_ready(slot, message)
            case EngineReattached():
                return partial(self._reattach, slot, message)
            case EngineEnded():
                return partial(self._engine_ended, slot, message.reason)
            case wire.Pong():
                warm = slot.info.warm_models if slot.info is not None else ()
                if new := {*message.info.warm_models} - {*warm}:
                    self._on_models_loaded(len(new))
                slot.info = message.info
                if slot.info.warm_models:
                    slot.expected_models = frozenset()
            case wire.InputsValidated():
                self._validation.answered(message)
            case wire.ModelsExamined():
                self._examination.answered(message)
            case wire.PackResponse():
                self._pack_routes.answered(message)
            case wire.PackMessage():
                if (event := self._pack_routes.message_event(message)) is not None:
                    self._publish(event)
            case wire.LogLines():
                self._publish(_log_event(slot, message))
        return None

    def _could_not_handle(self, slot: Slot, error: Exception) -> None:
        """A boundary: whatever an engine sends, and whatever fails, the job ends and the other slots continue."""
        log.error("a message of the worker %s could not be handled", slot.id, exc_info=error)
        self._runner.abandon(slot, error)
        self._backend.kill(slot.id, f"a message of the worker could not be handled: {error}")

    def _engine_ready(self, slot: Slot, ready: wire.Ready) -> None:
        self._register(slot, ready)
        self._recovery.heard(slot.id)
        slot.is_drained = False
        self._runner.send(slot)
        self._slots.drain_if_due(slot)
        self._slots.idle.note_free(slot)
        self._request_claim()

    async def _reattach(self, slot: Slot, message: EngineReattached) -> None:
        """The engine works on an attempt that another server sent, or has just ended it. A fresh engine follows it."""
        journal = message.journal
        slot.is_inherited = True
        self._register(slot, message.ready)
        found = await self._recovery.find(journal)
        self._recovery.heard(slot.id)
        if found is not None:
            await self._runner.reattach(slot, found, journal)
        elif not journal.is_over:
            self._backend.kill(slot.id, f"attempt {journal.attempt} of job {journal.job_id} is over")

    def _register(self, slot: Slot, ready: wire.Ready) -> None:
        slot.ready, slot.info = ready, ready.info
        self._pack_routes.ready(slot.id, ready.routes)
        self._tasks.spawn(self._store_catalogue(slot.has.engine, ready))

    async def _store_catalogue(self, engine: EngineKind, ready: wire.Ready) -> None:
        body = await asyncio.to_thread(nodes.encode, ready.nodes)
        digest = nodes.digest_of(body)
        self._on_ready(engine, ready, digest)
        now = self._clock.now()
        await self._db.write(lambda tx: nodes.save(tx, engine, digest=digest, body=body, now=now))

    async def _engine_ended(self, slot: Slot, reason: str) -> None:
        slot.ready, memory = None, slot.device_memory
        if not slot.is_stopped:  # the device of a stopped slot is still the same
            slot.info = None
        slot.expected_models = frozenset()
        slot.is_inherited = False
        self._validation.lost(slot.id)
        self._examination.lost(slot.id)
        self._pack_routes.lost(slot.id)
        await self._runner.engine_ended(slot, reason, memory=memory)


def _log_event(slot: Slot, message: wire.LogLines) -> LogWritten:
    """The owner of the running job may see its lines."""
    attempt = slot.attempt
    entries = [(from_ms(at_ms), line) for at_ms, line in message.lines]
    if attempt is None or attempt.job_id != message.job_id:
        return LogWritten(None, entries)
    return LogWritten(attempt.owner_id, entries, attempt.job_id)
