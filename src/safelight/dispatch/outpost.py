"""A slot away from its server: the supervisor of its engines, an outbox for what they say, and whose it is.

* **Outbox.** What engines say is numbered and kept until the owner has asked for what comes after it: an answer that
  is lost on the way is asked for again, and nothing is told twice.
* **Generation.** Orders name the engine that they are meant for, as the number of engines that were lost before it. An
  order that crosses the loss of its engine is dropped, and never reaches the next one. (A ``RunJob`` that did would
  run beside the next attempt of its job.)
* **Ownership.** Each :meth:`Outpost.adopt` comes with a token; the greater one wins, and begins with a fresh engine.
  Whoever holds another token than the last is refused.
* **Lease.** An owner that takes nothing for the lease may be gone: the engine is ended, until it takes again. After a
  longer while the outpost gives itself up.

Knows nothing of Ray: whoever carries the calls carries bytes.
"""

import asyncio
import contextlib
import logging
import platform
import shutil
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from safelight import __version__
from safelight.core.errors import SafelightError
from safelight.core.worker import SlotId
from safelight.dispatch.local import ENGINE_COMMAND
from safelight.dispatch.process import scrub
from safelight.dispatch.rooms import Rooms
from safelight.dispatch.supervisor import Supervisor
from safelight.wire.codec import Decoder, encode
from safelight.wire.config import EngineConfig
from safelight.wire.messages import Message, Ready, ToEngine, ToServer

log = logging.getLogger(__name__)

Token = tuple[int, int]
"""Of an adoption: the owner's own number, later owners having greater ones, and how often it adopted."""

TAKES_PER_LEASE = 3
LONGEST_TAKE_S = 10.0
LEASES_ALONE = 4
"""An outpost ends itself after so many leases without an owner."""
FIRST_LEASE_S = 60.0
"""How long it waits for its first owner, in place of the lease."""
_MAX_ANSWER_BYTES = 8 * 1024 * 1024


class Charge(Message, frozen=True, kw_only=True):
    """What an owner wants on the slot. Paths are the same on all machines."""

    config: EngineConfig
    rooms: str = ""
    """The root of the engines' own folders; empty: they use this process's."""
    rss_limit_bytes: int = 0
    has_threads: bool = True
    """Whether ``OMP_NUM_THREADS`` of this process is meant for engines."""
    command: tuple[str, ...] = ()
    """Empty: this machine's own engine command."""


class OtherVersion(SafelightError):
    """The server's words may mean something else here, or nothing."""

    code = "other_version"


class Said(Message, frozen=True, kw_only=True):
    number: int
    message: ToServer


class Lost(Message, frozen=True, kw_only=True):
    number: int
    reason: str


Entry = Said | Lost


class Send(Message, frozen=True, kw_only=True):
    generation: int
    message: ToEngine


class Kill(Message, frozen=True, kw_only=True):
    generation: int
    reason: str


class Retire(Message, frozen=True, kw_only=True):
    reason: str


class Restore(Message, frozen=True, kw_only=True):
    pass


Order = Send | Kill | Retire | Restore


def take_s(lease_s: float) -> float:
    """How long a take waits for something to be said."""
    return min(lease_s / TAKES_PER_LEASE, LONGEST_TAKE_S)


class Outpost:
    """Mutable: the supervisor, the outbox, the token. All calls are on one event loop.

    ``environment`` is that of its process, of which engines get a part; ``end`` ends the process.
    """

    def __init__(self, environment: Mapping[str, str], *, end: Callable[[], None]) -> None:
        self._environment = environment
        self._end = end
        self._token: Token = (0, 0)
        self._lease_s = FIRST_LEASE_S
        self._supervisor: Supervisor | None = None
        self._temp: Path | None = None
        self._outbox: deque[tuple[int, bytes]] = deque()
        self._count = 0
        self._generation = 0
        self._is_wanted = True
        self._is_fenced = False
        self._news = asyncio.Event()
        self._changing = asyncio.Lock()
        self._orders: Decoder[Order] = Decoder(Order)
        self._taken_at = time.monotonic()
        self._watching = asyncio.create_task(self._watch())

    async def adopt(self, token: Token, version: str, charge: bytes) -> bool:
        """End what runs here and begin anew for the holder of ``token``, with a :class:`Charge` as msgpack; false
        where a greater one was here. ``version``: the owner's of Safelight.

        Raises :class:`OtherVersion`, and :class:`OSError` where the slot's folders cannot be made.
        """
        if version != __version__:
            raise OtherVersion(f"Safelight is {__version__} on the node {platform.node()}, {version} on the server")
        if token <= self._token:
            return False
        self._token = token
        self._news.set()  # whoever waits in a take is refused
        async with self._changing:
            if token != self._token:
                return False
            await self._close()
            self._open(msgspec.msgpack.decode(charge, type=Charge))
        return True

    async def take(self, token: Token, after: int) -> bytes | None:
        """What was said after the entry ``after``, as frames; waits a while for it. ``None``: another is the owner.

        Entries up to ``after`` are forgotten.
        """
        if token != self._token:
            return None
        self._taken_at = time.monotonic()
        self._unfence()
        while self._outbox and self._outbox[0][0] <= after:
            self._outbox.popleft()
        if not self._outbox:
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(take_s(self._lease_s)):
                    await self._news.wait()
        return self._answer() if token == self._token else None

    async def tell(self, token: Token, orders: bytes) -> bool:
        """Carry out ``orders``, frames of :data:`Order`; false where another is the owner."""
        if token != self._token:
            return False
        for order in self._orders.feed(orders):
            self._obey(order)
        return True

    async def leave(self, token: Token) -> bool:
        """End the engine, and say no more; false where another is the owner."""
        async with self._changing:
            if token != self._token:
                return False
            await self._close()
        return True

    # -- what the supervisor says (dispatch/backend.py: Listener) --

    def engine_ready(self, slot: SlotId, ready: Ready) -> None:
        self.engine_said(slot, ready)

    def engine_said(self, slot: SlotId, message: ToServer) -> None:
        self._count += 1
        self._keep(Said(number=self._count, message=message))

    def engine_lost(self, slot: SlotId, reason: str) -> None:
        self._generation += 1
        self._count += 1
        self._keep(Lost(number=self._count, reason=reason))

    def _keep(self, entry: Entry) -> None:
        self._outbox.append((self._count, encode([entry])))
        self._news.set()

    def _answer(self) -> bytes:
        frames: list[bytes] = []
        size = 0
        for _, frame in self._outbox:
            size += len(frame)
            if frames and size > _MAX_ANSWER_BYTES:
                break
            frames.append(frame)
        return b"".join(frames)

    def _obey(self, order: Order) -> None:
        if self._supervisor is None:
            return
        match order:
            case Send() if order.generation == self._generation:
                self._supervisor.send(order.message)
            case Kill() if order.generation == self._generation:
                self._supervisor.kill(order.reason)
            case Retire():
                self._is_wanted = False
                self._supervisor.retire(order.reason)
            case Restore():
                self._is_wanted = True
                if not self._is_fenced:
                    self._supervisor.restore()

    def _open(self, charge: Charge) -> None:
        config = charge.config
        slot = SlotId(config.slot)
        environment: Mapping[str, str] = scrub(self._environment)
        if not charge.has_threads:
            environment = {name: value for name, value in environment.items() if name != "OMP_NUM_THREADS"}
        if charge.rooms:
            account = config.rules.account if config.rules is not None else None
            rooms = Rooms(Path(charge.rooms), account=account)
            environment = rooms.furnish(slot, environment)
            self._temp = rooms.temp(slot)
            config = _with_writable(config, (str(rooms.home), str(self._temp)))
        self._lease_s = config.lease_s
        self._taken_at = time.monotonic()
        self._count = self._generation = 0
        self._is_wanted, self._is_fenced = True, False
        self._supervisor = Supervisor(
            slot,
            command=charge.command or ENGINE_COMMAND,
            environment=environment,
            config=config,
            rss_limit_bytes=charge.rss_limit_bytes,
        )
        self._supervisor.start(self)
        self._watching.cancel()
        self._watching = asyncio.create_task(self._watch())

    async def _close(self) -> None:
        if self._supervisor is not None:
            await self._supervisor.stop()
            self._supervisor = None
        if self._temp is not None:
            await asyncio.to_thread(shutil.rmtree, self._temp, ignore_errors=True)
            self._temp = None
        self._outbox.clear()

    # -- the lease --

    async def _watch(self) -> None:
        while True:
            alone_s = time.monotonic() - self._taken_at
            if alone_s > self._lease_s * LEASES_ALONE:
                break
            if alone_s > self._lease_s:
                self._fence()
            await asyncio.sleep(self._lease_s / 5)
        log.warning("nobody asked for this worker for %.0f s; it ends", alone_s)
        async with self._changing:
            await self._close()
        self._end()

    def _fence(self) -> None:
        if self._supervisor is not None and not self._is_fenced:
            self._is_fenced = True
            self._supervisor.retire(f"the server asked for nothing for {self._lease_s:.0f} s")

    def _unfence(self) -> None:
        if self._supervisor is not None and self._is_fenced:
            self._is_fenced = False
            if self._is_wanted:
                self._supervisor.restore()


def _with_writable(config: EngineConfig, folders: Sequence[str]) -> EngineConfig:
    rules = config.rules
    if rules is None or rules.writable is None:
        return config
    return msgspec.structs.replace(config, rules=replace(rules, writable=(*rules.writable, *folders)))
