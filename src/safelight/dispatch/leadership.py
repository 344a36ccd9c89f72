"""Which of several servers of one database has the dispatcher: the one that holds the lock in the database.

The leader checks every second whether it still leads. It steps down when another server has taken the lock, but not
when the database is unavailable for a moment. Writes of a leader whose epoch is over are refused in the transaction
itself (``services/leader.py``), even if that server has not noticed yet.

States: *standby* -> *leading* (a dispatcher and its engines) -> *standby* ...
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from safelight.bus.bus import Bus
from safelight.core.asset import Asset
from safelight.core.clock import Clock
from safelight.core.engine_kind import EngineKind
from safelight.core.errors import SafelightError, Unavailable
from safelight.core.event import Event, EventsMissed, LeaderChanged
from safelight.core.ids import UserId
from safelight.core.leader import Leader
from safelight.core.pack import PackStatus
from safelight.core.pool import QueueKey
from safelight.core.worker import EngineInfo, SlotId, SlotStatus
from safelight.db.engine import Database
from safelight.dispatch.dispatcher import Dispatcher
from safelight.dispatch.remote_validation import Violations
from safelight.dispatch.scheduling.forecast import Forecast
from safelight.services import leader as leaders
from safelight.services.model import ModelFile
from safelight.wire.messages import PackResponse

log = logging.getLogger(__name__)

CHECK_S = 1.0
RETRY_S = 1.0
"""Between two tries of a standby server to lead. A leader that steps down announces it, and is followed immediately."""


class Lock(Protocol):
    async def is_held(self) -> bool: ...

    async def release(self) -> None: ...


class Leadership:
    """Mutable: the current leader, and the dispatcher if that is this server. Stands in for the dispatcher where
    callers cannot know whether this server has it."""

    def __init__(
        self,
        *,
        db: Database,
        bus: Bus,
        clock: Clock,
        address: str,
        take_lock: Callable[[], Awaitable[Lock]],
        begin: Callable[[Database, Leader], Awaitable[Dispatcher]],
        end: Callable[[], Awaitable[None]],
    ) -> None:
        """``begin``: make and start a dispatcher that writes through the given database. ``end``: called when it has
        stopped. ``take_lock`` raises :class:`Unavailable` if another server holds the lock, or the database is
        unavailable."""
        self._db = db
        self._clock = clock
        self._address = address
        self._take_lock = take_lock
        self._begin = begin
        self._end = end
        self._dispatcher: Dispatcher | None = None
        self._lock: Lock | None = None  # while this server leads
        self._epoch = 0
        self._leader: Leader | None = None
        self._must_try, self._must_read = asyncio.Event(), asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._unsubscribe = bus.subscribe(self._on_event)

    @property
    def is_here(self) -> bool:
        return self._dispatcher is not None

    def elsewhere(self) -> str | None:
        """The address of the leader, if it is another server."""
        if self.is_here or self._leader is None or self._leader.epoch == self._epoch:
            return None
        return self._leader.address or None

    async def start(self) -> None:
        """Become the leader before this returns, if there is none."""
        await self._read_leader()
        await self._try_to_lead()
        self._tasks = [
            asyncio.create_task(self._lead_or_wait(), name="leadership"),
            asyncio.create_task(self._follow(), name="leadership-follow"),
        ]

    async def stop(self) -> None:
        """Step down in good order: running jobs wait again, and another server leads immediately."""
        self._unsubscribe()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- for HTTP (api/app.py: Engines) --

    def engines(self) -> Sequence[EngineInfo]:
        return self._dispatcher.access.engines() if self._dispatcher else ()

    def slots(self) -> Sequence[SlotStatus]:
        return self._dispatcher.access.slots() if self._dispatcher else ()

    def forecast(
        self, key: QueueKey, *, depths: Mapping[QueueKey, int], ahead: int, run_s: float | None
    ) -> Forecast | None:
        """Without a dispatcher nothing is known."""
        if self._dispatcher is None:
            return None
        return self._dispatcher.access.forecast(key, depths=depths, ahead=ahead, run_s=run_s)

    def packs(self) -> Mapping[SlotId, Sequence[PackStatus]]:
        return self._dispatcher.access.packs() if self._dispatcher else {}

    def free(self, *, owner_id: UserId | None, unload_models: bool, free_memory: bool) -> None:
        self._here().access.free(owner_id=owner_id, unload_models=unload_models, free_memory=free_memory)

    async def validate_inputs(
        self,
        owner_id: UserId,
        engine: EngineKind,
        *,
        prompt: Mapping[str, Any],
        targets: Sequence[str],
        files: Mapping[str, Asset],
    ) -> Violations:
        """Without a dispatcher there are no violations: the run validates the inputs."""
        if self._dispatcher is None:
            return {}
        return await self._dispatcher.access.validate_inputs(
            owner_id, engine, prompt=prompt, targets=targets, files=files
        )

    async def examine_models(self, files: Sequence[ModelFile]) -> Mapping[str, str]:
        """Without a dispatcher, all files count as usable: the run tells."""
        return await self._dispatcher.access.examine_models(files) if self._dispatcher is not None else {}

    def pack_of_route(self, method: str, path: str) -> str | None:
        return self._dispatcher.access.pack_of_route(method, path) if self._dispatcher is not None else None

    async def request_pack(
        self, owner_id: UserId, *, method: str, path: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> PackResponse:
        return await self._here().access.request_pack(
            owner_id, method=method, path=path, target=target, headers=headers, body=body
        )

    def _here(self) -> Dispatcher:
        if self._dispatcher is None:
            raise Unavailable("no server has the workers at the moment; try again in a few seconds")
        return self._dispatcher

    # -- leading --

    async def _lead_or_wait(self) -> None:
        while True:
            if self._lock is not None:
                try:
                    await self._while_leading()
                finally:
                    await self._step_down()
            await self._pause()
            await self._try_to_lead()

    async def _try_to_lead(self) -> None:
        try:
            self._lock = await self._take_lock()
        except Unavailable:
            return
        try:
            now = self._clock.now()
            leader = await self._db.write(lambda tx: leaders.take(tx, address=self._address, now=now))
            self._epoch = epoch = leader.epoch
            self._dispatcher = await self._begin(self._db.fenced(lambda tx: leaders.check(tx, epoch=epoch)), leader)
        except BaseException as error:
            await self._release_lock()
            if not isinstance(error, Exception):
                raise
            # A boundary: whatever prevents it from leading now, it may lead later.
            log.error("this server cannot lead: %s", error, exc_info=not isinstance(error, SafelightError))
            return
        log.info("this server is the leader, in epoch %d", epoch)

    async def _while_leading(self) -> None:
        """Return when another server leads."""
        while self._lock is not None:
            await asyncio.sleep(CHECK_S)
            if not await self._lock.is_held():
                with suppress(Unavailable):  # the database is unavailable, or another server leads, as the epoch shows
                    taken = await self._take_lock()
                    await self._release_lock()
                    self._lock = taken
            with suppress(Unavailable):
                now = await self._db.read(leaders.find)
                if now is None or now.epoch != self._epoch:
                    return

    async def _release_lock(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            await lock.release()

    async def _step_down(self) -> None:
        log.info("this server is not the leader any more")
        dispatcher, self._dispatcher = self._dispatcher, None
        if dispatcher is not None:
            await dispatcher.stop()
            await self._end()
        epoch = self._epoch
        with suppress(SafelightError):
            await self._db.write(lambda tx: leaders.step_down(tx, epoch=epoch))
        await self._release_lock()

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(RETRY_S):
                await self._must_try.wait()
        self._must_try.clear()

    # -- following --

    def _on_event(self, event: Event) -> None:
        if isinstance(event, LeaderChanged | EventsMissed):
            self._must_try.set()
            self._must_read.set()

    async def _follow(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(10 * CHECK_S):
                    await self._must_read.wait()
            self._must_read.clear()
            with suppress(Unavailable):
                await self._read_leader()

    async def _read_leader(self) -> None:
        self._leader = await self._db.read(leaders.find)
