"""What HTTP asks of the engines (the port ``api/app.py: Engines``): their state, validations, routes of packs."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from safelight.core.asset import Asset
from safelight.core.clock import Clock
from safelight.core.engine_kind import OWN, EngineKind
from safelight.core.ids import UserId
from safelight.core.pack import PackStatus
from safelight.core.pool import QueueKey
from safelight.core.worker import EngineInfo, SlotId, SlotStatus
from safelight.dispatch.backend import Backend
from safelight.dispatch.files.transport import FileTransport, fetch_for_validation
from safelight.dispatch.model_examination import ExaminedFile, ModelExamination
from safelight.dispatch.pack_requests import PackRoutes
from safelight.dispatch.remote_validation import RemoteValidation, Violations
from safelight.dispatch.scheduling.forecast import Forecast
from safelight.dispatch.scheduling.queue import SchedulerQueue
from safelight.dispatch.slots.registry import Slots
from safelight.services.model import ModelFile
from safelight.wire import messages as wire


class EngineAccess:
    """Jobs do not come this way: they reach the dispatcher through the database and the bus."""

    def __init__(
        self,
        *,
        backend: Backend,
        transport: FileTransport,
        slots: Slots,
        queue: SchedulerQueue,
        clock: Clock,
        validation: RemoteValidation,
        examination: ModelExamination,
        pack_routes: PackRoutes,
    ) -> None:
        self._backend = backend
        self._transport = transport
        self._slots = slots
        self._queue = queue
        self._clock = clock
        self._validation = validation
        self._examination = examination
        self._pack_routes = pack_routes

    @property
    def is_here(self) -> bool:
        """Whether this server has the dispatcher (``leadership.py``)."""
        return True

    def engines(self) -> Sequence[EngineInfo]:
        """What each ready engine last reported about itself."""
        return self._slots.engines()

    def slots(self) -> Sequence[SlotStatus]:
        return self._slots.statuses()

    def forecast(
        self, key: QueueKey, *, depths: Mapping[QueueKey, int], ahead: int, run_s: float | None
    ) -> Forecast | None:
        """When the job behind ``ahead`` others of ``key`` will start; ``None`` if that is unknown. ``run_s``: how long
        it takes. ``depths``: how many jobs wait under each key."""
        if not self._slots.gates.starts_jobs:
            return None
        now_s = self._clock.monotonic_s()
        slots = [slot.in_forecast(now_s) for slot in self._slots if self._slots.is_open(slot.id) and not slot.is_shut]
        return self._queue.forecast(slots, depths=depths, key=key, ahead=ahead, run_s=run_s)

    def packs(self) -> Mapping[SlotId, Sequence[PackStatus]]:
        """The node packs of each ready engine."""
        return self._slots.packs()

    def free(self, *, owner_id: UserId | None, unload_models: bool, free_memory: bool) -> None:
        """Let engines free memory when they are next idle: all of them, or those whose last job is the owner's."""
        for slot in self._slots:
            if owner_id in (None, slot.latest_owner_id):
                self._backend.send(slot.id, wire.FreeMemory(unload_models=unload_models, free_memory=free_memory))

    async def validate_inputs(
        self,
        owner_id: UserId,
        engine: EngineKind,
        *,
        prompt: Mapping[str, Any],
        targets: Sequence[str],
        files: Mapping[str, Asset],
    ) -> Violations:
        """The violations that the nodes of an engine of that kind find, preferably of an idle one; none if no engine
        answers in time or the files cannot be fetched in time."""
        with ExitStack() as inputs:
            ready = [slot for slot in self._slots if slot.ready is not None and slot.has.engine == engine]
            if not ready:
                return {}
            slot = min(ready, key=lambda slot: slot.attempt is not None)
            refs = await fetch_for_validation(self._transport, files, inputs, slot=slot.id)
            if refs is None:
                return {}
            return await self._validation.validate(
                slot.id, owner_id=owner_id, prompt=prompt, targets=targets, files=refs
            )

    async def examine_models(self, files: Sequence[ModelFile]) -> Mapping[str, str]:
        """By name, why Safelight's own engine cannot load a model file; what it cannot tell now is left out."""
        ready = [slot.id for slot in self._slots if slot.ready is not None and slot.has.engine == OWN]
        if not ready or not files:
            return {}
        examined = await asyncio.to_thread(lambda: [_examined(file) for file in files])
        reasons = await self._examination.examine(ready[0], examined)
        return {file.name: reasons[str(file.path)] for file in files if str(file.path) in reasons}

    def pack_of_route(self, method: str, path: str) -> str | None:
        """The node pack that serves ``path``; ``None`` if there is none."""
        return self._pack_routes.pack_of(method, path)

    async def request_pack(
        self, owner_id: UserId, *, method: str, path: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> wire.PackResponse:
        """The response of a node pack; see :meth:`PackRoutes.request`."""
        return await self._pack_routes.request(
            owner_id, method=method, path=path, target=target, headers=headers, body=body
        )


def _examined(file: ModelFile) -> ExaminedFile:
    """Blocks."""
    try:
        status = file.path.stat()
    except OSError:
        return ExaminedFile(file.folder, str(file.path), 0, 0)
    return ExaminedFile(file.folder, str(file.path), status.st_size, status.st_mtime_ns)
