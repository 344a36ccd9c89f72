"""One of several servers leads; writes of an earlier leader are refused."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import cast

import pytest
from tests import database

from safelight.bus.memory import MemoryBus
from safelight.core.clock import SystemClock
from safelight.core.errors import Unavailable
from safelight.core.leader import Leader
from safelight.db.engine import Database
from safelight.dispatch import leadership
from safelight.dispatch.dispatcher import Dispatcher
from safelight.dispatch.leadership import Leadership
from safelight.services import leader as leaders
from safelight.services.leader import NotLeading

pytestmark = pytest.mark.anyio

LIMIT_S = 20.0


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leadership, "CHECK_S", 0.02)
    monkeypatch.setattr(leadership, "RETRY_S", 0.05)


class Locks:
    """The lock of a database. ``holder``: who has it; ``is_away``: the database is unreachable; ``quicker``: the only
    one who would get it."""

    def __init__(self) -> None:
        self.holder: object | None = None
        self.is_away = False
        self.quicker: str | None = None

    async def take(self, name: str) -> "Held":
        if self.is_away or self.holder is not None or self.quicker not in (None, name):
            raise Unavailable("not now")
        return Held(self)


class Held:
    def __init__(self, locks: Locks) -> None:
        self._locks = locks
        locks.holder = self

    async def is_held(self) -> bool:
        return self._locks.holder is self and not self._locks.is_away

    async def release(self) -> None:
        if self._locks.holder is self:
            self._locks.holder = None


class Worker:
    """A fake dispatcher; the real one has its own tests."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.is_stopped = False

    async def stop(self) -> None:
        self.is_stopped = True


class Server:
    def __init__(self, db: Database, bus: MemoryBus, locks: Locks, address: str) -> None:
        self.workers: list[Worker] = []
        self.ends = 0
        self.failures = 0  # how many of the leader's next starts will fail
        self.leadership = Leadership(
            db=db,
            bus=bus,
            clock=SystemClock(),
            address=address,
            take_lock=lambda: locks.take(address),
            begin=self._begin,
            end=self._end,
        )

    async def _begin(self, db: Database, leader: Leader) -> Dispatcher:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("its workers cannot be started")
        self.workers.append(Worker(db))
        return cast(Dispatcher, self.workers[-1])

    async def _end(self) -> None:
        self.ends += 1


@contextlib.asynccontextmanager
async def two(folder: Path) -> AsyncIterator[tuple[Server, Server, Locks]]:
    bus, locks = MemoryBus(), Locks()
    async with database.opened(folder, on_commit=bus.publish) as db:
        servers = [Server(db, bus, locks, f"http://{name}") for name in ("a", "b")]
        for server in servers:
            await server.leadership.start()
        yield servers[0], servers[1], locks
        for server in servers:
            await server.leadership.stop()


async def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


async def test_one_server_leads_and_the_other_knows_its_address(tmp_path: Path) -> None:
    async with two(tmp_path) as (a, b, _):
        assert (a.leadership.is_here, a.leadership.elsewhere()) == (True, None)
        assert (b.leadership.is_here, b.leadership.elsewhere()) == (False, "http://a")
        assert b.leadership.engines() == ()
        with pytest.raises(Unavailable, match="no server has the workers"):
            b.leadership.free(owner_id=None, unload_models=True, free_memory=True)


async def test_a_leader_that_stops_is_replaced(tmp_path: Path) -> None:
    async with two(tmp_path) as (a, b, _):
        await a.leadership.stop()
        assert (a.workers[0].is_stopped, a.ends) == (True, 1)
        await until(lambda: b.leadership.is_here)
        assert len(b.workers) == 1


async def test_writes_of_an_earlier_leader_are_refused(tmp_path: Path) -> None:
    async with two(tmp_path) as (a, b, locks):
        old = a.workers[0].db
        await old.write(lambda tx: None)
        locks.holder, locks.quicker = None, "http://b"  # its connection broke
        await until(lambda: b.leadership.is_here)
        with pytest.raises(NotLeading, match="epoch 1, but the current epoch is 2"):
            await old.write(lambda tx: None)
        await until(lambda: a.workers[0].is_stopped)
        await until(lambda: a.leadership.elsewhere() == "http://b")
        await b.workers[0].db.write(lambda tx: None)


async def test_a_short_outage_of_the_database_changes_nothing(tmp_path: Path) -> None:
    async with two(tmp_path) as (a, b, locks):
        locks.is_away, locks.holder = True, None
        await asyncio.sleep(0.2)
        locks.is_away, locks.quicker = False, "http://a"
        await until(lambda: locks.holder is not None)
        await asyncio.sleep(0.1)
        assert (a.leadership.is_here, b.leadership.is_here, len(a.workers)) == (True, False, 1)
        await a.workers[0].db.write(lambda tx: None)


async def test_a_leader_that_fails_to_start_releases_the_lock_and_may_lead_later(tmp_path: Path) -> None:
    async with two(tmp_path) as (a, b, locks):
        b.failures = 2
        locks.quicker = "http://b"
        await a.leadership.stop()
        await until(lambda: b.leadership.is_here)
        assert (b.failures, len(b.workers)) == (0, 1)
        await b.workers[0].db.write(lambda tx: None)


async def test_a_later_leader_also_has_a_later_time(tmp_path: Path) -> None:
    async with database.opened(tmp_path) as db:
        first = await db.write(lambda tx: leaders.take(tx, address="http://a", now=database.at(60)))
        second = await db.write(lambda tx: leaders.take(tx, address="http://b", now=database.at(0)))
        third = await db.write(lambda tx: leaders.take(tx, address="http://a", now=database.at(61)))
        assert (first.epoch, second.epoch, third.epoch) == (1, 2, 3)
        assert first.since < second.since < third.since == database.at(61)
