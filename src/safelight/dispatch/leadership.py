"""Which of several servers of one database has the dispatcher: the one that holds the lock of the database's server.

A server that leads asks the database every second whether it still does. It stops leading when another has taken the
lock, and not when the database is away for a moment. What it would write as the leader of an epoch that is over is
refused in the transaction itself (``services/leader.py``), whatever it knows.

States: *standing by* -> *leading* (a dispatcher and its engines) -> *standing by* ...
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from safelight.bus.bus import Bus
from safelight.core.asset import Asset
from safelight.core.clock import Clock
from safelight.core.errors import SafelightError, Unavailable
from safelight.core.event import Event, EventsMissed, LeaderChanged
from safelight.core.ids import UserId
from safelight.core.leader import Leader
from safelight.core.pack import PackStatus
from safelight.core.worker import EngineInfo, SlotId, SlotStatus
from safelight.db.engine import Database
from safelight.dispatch.dispatcher import Dispatcher
from safelight.dispatch.remote_validation import Violations
from safelight.services import leader as leaders
from safelight.wire.messages import PackResponse

log = logging.getLogger(__name__)

CHECK_S = 1.0
RETRY_S = 1.0
"""How often a server that stands by tries to lead; one that goes in good order says so, and is followed at once."""


class Lock(Protocol):
    async def is_held(self) -> bool: ...

    async def release(self) -> None: ...


class Leadership:
    """Mutable: who leads, and the dispatcher where it is this server. Speaks for the dispatcher to those who would not
    know whether there is one here."""

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
        """``begin``: make and start a dispatcher that writes by the database it is given; ``end``: it has stopped.

        ``take_lock`` raises :class:`Unavailable` where another server holds the lock, or the database is away."""
        self._db = db
        self._clock = clock
        self._address = address
        self._take_lock = take_lock
        self._begin = begin
        self._end = end
        self._dispatcher: Dispatcher | None = None
        self._lock: Lock | None = None  # while it leads
        self._epoch = 0
        self._leader: Leader | None = None
        self._must_try, self._must_look = asyncio.Event(), asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._unsubscribe = bus.subscribe(self._hear)

    @property
    def is_here(self) -> bool:
        return self._dispatcher is not None

    def elsewhere(self) -> str | None:
        """The address of the server that leads, where it is another one."""
        if self.is_here or self._leader is None or self._leader.epoch == self._epoch:
            return None
        return self._leader.address or None

    async def start(self) -> None:
        """Lead if nobody does, before this returns."""
        await self._look()
        await self._try_to_lead()
        self._tasks = [
            asyncio.create_task(self._lead_and_stand_by(), name="leadership"),
            asyncio.create_task(self._follow(), name="leadership-follow"),
        ]

    async def stop(self) -> None:
        """Stop leading in good order: the jobs that ran wait again, and another server leads at once."""
        self._unsubscribe()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- what HTTP asks of a dispatcher (api/app.py: Engines) --

    def engines(self) -> Sequence[EngineInfo]:
        return self._dispatcher.engines() if self._dispatcher else ()

    def slots(self) -> Sequence[SlotStatus]:
        return self._dispatcher.slots() if self._dispatcher else ()

    def packs(self) -> Mapping[SlotId, Sequence[PackStatus]]:
        return self._dispatcher.packs() if self._dispatcher else {}

    def free(self, *, owner_id: UserId | None, unload_models: bool, free_memory: bool) -> None:
        self._here().free(owner_id=owner_id, unload_models=unload_models, free_memory=free_memory)

    async def validate_inputs(
        self, owner_id: UserId, *, prompt: Mapping[str, Any], targets: Sequence[str], files: Mapping[str, Asset]
    ) -> Violations:
        """Without a worker to ask nobody objects: the run will."""
        if self._dispatcher is None:
            return {}
        return await self._dispatcher.validate_inputs(owner_id, prompt=prompt, targets=targets, files=files)

    def pack_of_route(self, method: str, path: str) -> str | None:
        return self._dispatcher.pack_of_route(method, path) if self._dispatcher is not None else None

    async def ask_pack(
        self, owner_id: UserId, *, method: str, path: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> PackResponse:
        return await self._here().ask_pack(
            owner_id, method=method, path=path, target=target, headers=headers, body=body
        )

    def _here(self) -> Dispatcher:
        if self._dispatcher is None:
            raise Unavailable("no server has the workers at the moment; try again in a few seconds")
        return self._dispatcher

    # -- leading --

    async def _lead_and_stand_by(self) -> None:
        while True:
            if self._lock is not None:
                try:
                    await self._while_leading()
                finally:
                    await self._stand_down()
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
            await self._let_go()
            if not isinstance(error, Exception):
                raise
            # A boundary: whatever keeps it from leading now, it may lead later.
            log.error("this server cannot lead: %s", error, exc_info=not isinstance(error, SafelightError))
            return
        log.info("this server leads, in epoch %d", epoch)

    async def _while_leading(self) -> None:
        """Returns when another server leads."""
        while self._lock is not None:
            await asyncio.sleep(CHECK_S)
            if not await self._lock.is_held():
                with suppress(Unavailable):  # the database is away, or another server leads, as the epoch will tell
                    taken = await self._take_lock()
                    await self._let_go()
                    self._lock = taken
            with suppress(Unavailable):
                now = await self._db.read(leaders.find)
                if now is None or now.epoch != self._epoch:
                    return

    async def _let_go(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            await lock.release()

    async def _stand_down(self) -> None:
        log.info("this server leads no more")
        dispatcher, self._dispatcher = self._dispatcher, None
        if dispatcher is not None:
            await dispatcher.stop()
            await self._end()
        epoch = self._epoch
        with suppress(SafelightError):
            await self._db.write(lambda tx: leaders.step_down(tx, epoch=epoch))
        await self._let_go()

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(RETRY_S):
                await self._must_try.wait()
        self._must_try.clear()

    # -- following --

    def _hear(self, event: Event) -> None:
        if isinstance(event, LeaderChanged | EventsMissed):
            self._must_try.set()
            self._must_look.set()

    async def _follow(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(10 * CHECK_S):
                    await self._must_look.wait()
            self._must_look.clear()
            with suppress(Unavailable):
                await self._look()

    async def _look(self) -> None:
        self._leader = await self._db.read(leaders.find)
