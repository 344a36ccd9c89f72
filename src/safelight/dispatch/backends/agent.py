"""A slot away from its server: the supervisor of its engines, an outbox for what they say, and whose it is.

* **Outbox.** What engines say is numbered and kept until the owner has asked for what comes after it: an answer that
  is lost on the way is asked for again, and nothing is told twice.
* **Generation.** Orders name the engine that they are meant for, as the number of engines that were lost before it. An
  order that crosses the loss of its engine is dropped, and never reaches the next one. (A ``RunJob`` that did would
  run beside the next attempt of its job.)
* **Ownership.** Each :meth:`SlotAgent.adopt` comes with a token; the greater one wins. Whoever holds another token than
  the last is refused.
* **Succession.** An attempt outlives its server: the next one gets its journal (``journal.py``) and hears what was said
  since. When the attempt is over, its engine makes room for one that is as the new server wants it; where no attempt
  was under way, that is at once.
* **Folders.** Those on the machine's own disk belong to this agent alone (``own_folder.py``): it may outlive the
  moment at which another one is made for its slot, and what it removes at its end must not be that one's.
* **Placement.** An owner may want other resources than the process has. It goes on until its attempt is over; its last
  loss says that the owner must make another process.
* **Lease.** An owner that takes nothing for the lease may be gone: the engine is ended, until it takes again. After a
  longer while the agent gives itself up.

Knows nothing of Ray: whoever carries the calls carries bytes.
"""

import asyncio
import contextlib
import logging
import platform
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import msgspec

from safelight.core.errors import SafelightError
from safelight.core.worker import SlotId
from safelight.dispatch.backends.local import ENGINE_COMMAND
from safelight.dispatch.backends.process import scrub
from safelight.dispatch.backends.slot_dirs import SEARCHABLE, SlotDirs
from safelight.dispatch.backends.supervisor import Supervisor
from safelight.dispatch.files.owned_folder import OwnFolder, sweep
from safelight.dispatch.files.transfer import FileTransfer, Method, Want, given_to, inputs_of, staging_of
from safelight.dispatch.journal import Journal, Work
from safelight.wire.codec import Decoder, encode
from safelight.wire.config import EngineConfig
from safelight.wire.messages import JobDone, Message, NamesReserved, Ready, ReserveNames, RunJob, ToEngine, ToServer
from safelight.wire.protocol import PROTOCOL

log = logging.getLogger(__name__)

Token = tuple[int, int]
"""Of an adoption: the owner's own number, later owners having greater ones, and how often it adopted."""

TAKES_PER_LEASE = 3
LONGEST_TAKE_S = 10.0
LEASES_ALONE = 4
"""An agent ends itself after so many leases without an owner."""
_LOOKS_PER_LEASE = 5
"""How often it looks whether the lease is over."""
FIRST_LEASE_S = 60.0
"""How long it waits for its first owner, in place of the lease."""
_MAX_ANSWER_BYTES = 8 * 1024 * 1024


class SlotSpec(Message, frozen=True, kw_only=True):
    """What an owner wants on the slot. Paths are the same on all machines."""

    config: EngineConfig
    rooms: str = ""
    """The root of the engines' own folders; empty: they use this process's."""
    home: str = ""
    """A home that all engines share and that stays; empty: a new one for each engine, below ``rooms``."""
    rss_limit_bytes: int = 0
    has_threads: bool = True
    """Whether ``OMP_NUM_THREADS`` of this process is meant for engines."""
    command: tuple[str, ...] = ()
    """Empty: this machine's own engine command."""
    scratch: str = ""
    """The root of folders on the machine's own disk for what engines read and write, which is carried between there and
    the store; empty: it lies in folders that all machines share."""
    scratch_bytes: int = 0
    """How much of the store may lie there for engines to read."""
    placement: str = ""
    """What a process for the slot takes of the cluster, and where, as the owner writes it."""

    @property
    def scratch_of_slot(self) -> Path | None:
        """Where the slot's outposts have their folders."""
        return Path(self.scratch, self.config.slot) if self.scratch else None


class OtherProtocol(SafelightError):
    """The server's words may mean something else here, or nothing."""

    code = "other_protocol"


class Envelope(Message, frozen=True, kw_only=True):
    number: int
    message: ToServer


class EngineLost(Message, frozen=True, kw_only=True):
    """``is_meant``: nothing is wrong with the engine. ``is_last``: no other follows here, the slot needs a process of
    another placement."""

    number: int
    reason: str
    is_meant: bool = False
    is_last: bool = False


class PresignRequest(Message, frozen=True, kw_only=True):
    """An address of the store is asked for, to do one thing with one blob."""

    number: int
    request: int
    method: Method
    digest: str


Entry = Envelope | EngineLost | PresignRequest


class Send(Message, frozen=True, kw_only=True):
    generation: int
    message: ToEngine


class Kill(Message, frozen=True, kw_only=True):
    generation: int
    reason: str


class Drain(Message, frozen=True, kw_only=True):
    reason: str


class Resume(Message, frozen=True, kw_only=True):
    pass


class PresignResponse(Message, frozen=True, kw_only=True):
    """The answer to :class:`PresignRequest`; without a ``url`` where there is none."""

    request: int
    url: str


Command = Send | Kill | Drain | Resume | PresignResponse


class Attached(Message, frozen=True, kw_only=True):
    """What there is for the owner: entries come after ``number``, from the engine of ``generation`` on.

    ``journal`` where an attempt outlived the server before; then that engine has been ``ready``. ``is_misplaced``:
    there is no engine here, the slot needs a process of another placement.
    """

    number: int = 0
    generation: int = 0
    ready: Ready | None = None
    journal: Journal | None = None
    is_misplaced: bool = False


def take_s(lease_s: float) -> float:
    """How long a take waits for something to be said."""
    return min(lease_s / TAKES_PER_LEASE, LONGEST_TAKE_S)


def alone_s(lease_s: float) -> float:
    """How long an engine goes on at most after the last take of its owner."""
    return lease_s + lease_s / _LOOKS_PER_LEASE


@dataclass(frozen=True, slots=True)
class _Kept:
    """An entry that the owner has not acknowledged."""

    number: int
    frame: bytes
    message: ToServer | None  # where it is one
    is_loss: bool
    at_ms: int


class SlotAgent:
    """Mutable: the supervisor, the outbox, the token. All calls are on one event loop.

    ``environment`` is that of its process, of which engines get a part; ``end`` ends the process. ``placement``: what
    the process was made with.
    """

    def __init__(self, environment: Mapping[str, str], *, end: Callable[[], None], placement: str = "") -> None:
        self._environment = environment
        self.placement = placement
        self._end = end
        self._token: Token = (0, 0)
        self._charge: SlotSpec | None = None
        self._lease_s = FIRST_LEASE_S
        self._leases_alone = LEASES_ALONE
        self._supervisor: Supervisor | FileTransfer | None = None
        self._temp: OwnFolder | None = None
        self._scratch: OwnFolder | None = None
        self._outbox: deque[_Kept] = deque()
        self._count = 0
        self._generation = 0
        self._acknowledged = 0
        self._lost = 0  # of those acknowledged, so many are losses
        self._ready: tuple[int, Ready] | None = None  # of the engine of the moment, with the number of its entry
        self._work: Work | None = None
        self._is_passing = False  # the engine is of an earlier owner, and goes when its attempt is over
        self._is_changing = False  # it has no say any more
        self._is_wanted = True
        self._is_fenced = False
        self._news = asyncio.Event()
        self._changing = asyncio.Lock()
        self._orders: Decoder[Command] = Decoder(Command)
        self._taken_at = time.monotonic()
        self._watching = asyncio.create_task(self._watch())
        self._change: asyncio.Task[None] | None = None

    async def adopt(self, token: Token, protocol: int, charge: bytes, *, succeeds: bool = False) -> bytes:
        """Work for the holder of ``token``, as a :class:`SlotSpec` in msgpack says. Returns an :class:`Attached` in
        msgpack; nothing where a greater token was here.

        What runs here ends, and all begins anew; but for an owner that ``succeeds`` the one before an attempt goes on.
        Raises :class:`OtherProtocol`, and :class:`OSError` where the slot's folders cannot be made.
        """
        if protocol != PROTOCOL:
            raise OtherProtocol(
                f"Safelight on the node {platform.node()} speaks protocol {PROTOCOL}, the server speaks {protocol}; "
                "install the same version on both"
            )
        if token <= self._token:
            return b""
        self._token = token
        self._news.set()  # whoever waits in a take is refused
        async with self._changing:
            if token != self._token:
                return b""
            self._charge = msgspec.msgpack.decode(charge, type=SlotSpec)
            self._orders = Decoder(Command)
            self._leases_alone = LEASES_ALONE
            if succeeds and self._work is not None:
                adopted = self._hand_over(self._work)
            else:
                await self._close()
                self._reset()
                if not self._is_misplaced:
                    self._start_engine()
                adopted = Attached(is_misplaced=self._is_misplaced)
            self._keep_lease()
        return msgspec.msgpack.encode(adopted)

    async def take(self, token: Token, after: int) -> bytes | None:
        """What was said after the entry ``after``, as frames; waits a while for it. ``None``: another is the owner.

        Entries up to ``after`` are acknowledged.
        """
        if token != self._token:
            return None
        self._taken_at = time.monotonic()
        self._unfence()
        self._acknowledge(after)
        if not self._outbox:
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(take_s(self._lease_s)):
                    await self._news.wait()
        return self._answer() if token == self._token else None

    async def tell(self, token: Token, orders: bytes) -> bool:
        """Carry out ``orders``, frames of :data:`Command`; false where another is the owner."""
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

    async def bequeath(self, token: Token) -> bool:
        """The owner goes, and the attempt goes on for a lease, in which another may adopt it; false where one has."""
        if token != self._token:
            return False
        self._leases_alone = 1
        return True

    # -- what the supervisor says (dispatch/backend.py: EngineListener) --

    def engine_ready(self, slot: SlotId, ready: Ready) -> None:
        if not self._is_changing:
            self._say(ready)
            self._ready = (self._count, ready)

    def engine_message(self, slot: SlotId, message: ToServer) -> None:
        if self._is_changing:
            return
        self._say(message)
        if isinstance(message, JobDone) and self._work is not None and self._work.is_of(message):
            self._work.is_over = True
            self._change_if_passing()

    def engine_lost(self, slot: SlotId, reason: str) -> None:
        if not self._is_changing:
            self._lose(reason)
            self._change_if_passing()

    def _say(self, message: ToServer) -> None:
        self._count += 1
        self._keep(Envelope(number=self._count, message=message))

    def _lose(self, reason: str, *, is_meant: bool = False, is_last: bool = False) -> None:
        self._ready = None
        self._generation += 1
        self._count += 1
        is_meant = is_meant or not self._is_wanted
        self._keep(EngineLost(number=self._count, reason=reason, is_meant=is_meant, is_last=is_last))

    def _want(self, want: Want) -> None:
        self._count += 1
        self._keep(PresignRequest(number=self._count, request=want.request, method=want.method, digest=want.digest))

    def _keep(self, entry: Entry) -> None:
        message = entry.message if isinstance(entry, Envelope) else None
        at_ms = time.time_ns() // 1_000_000
        self._outbox.append(_Kept(entry.number, encode([entry]), message, isinstance(entry, EngineLost), at_ms))
        self._news.set()

    def _acknowledge(self, number: int) -> None:
        """The owner has heard the entries up to that number."""
        while self._outbox and self._outbox[0].number <= number:
            kept = self._outbox.popleft()
            self._acknowledged = kept.number
            self._lost += kept.is_loss
            if self._work is not None and self._work.generation < self._lost:
                self._work = None
            if self._work is not None and kept.message is not None:
                self._work.heard(kept.message, at_ms=kept.at_ms)

    def _answer(self) -> bytes:
        frames: list[bytes] = []
        size = 0
        for kept in self._outbox:
            size += len(kept.frame)
            if frames and size > _MAX_ANSWER_BYTES:
                break
            frames.append(kept.frame)
        return b"".join(frames)

    def _obey(self, order: Command) -> None:
        if self._supervisor is None:
            return
        match order:
            case Send() if order.generation == self._generation and not self._is_changing:
                self._note(order.message)
                self._supervisor.send(order.message)
            case Kill() if order.generation == self._generation:
                self._supervisor.kill(order.reason)
            case Drain():
                self._is_wanted = False
                self._supervisor.retire(order.reason)
            case Resume():
                self._is_wanted = True
                if not self._is_fenced:
                    self._supervisor.restore()
            case PresignResponse() if isinstance(self._supervisor, FileTransfer):
                self._supervisor.addressed(order.request, order.url)

    def _note(self, message: ToEngine) -> None:
        match message:
            case RunJob() if self._ready is not None:
                number, ready = self._ready
                self._acknowledge(number)  # who sends a job has heard that the engine is ready
                self._work = Work(message, ready=ready, generation=self._generation)
            case NamesReserved() if self._work is not None:
                asked = (kept.number for kept in self._outbox if _asks(kept.message, message.request_id))
                self._acknowledge(max(asked, default=0))  # who answers has heard the question
                self._work.answered(message.request_id, message.first)

    # -- engines --

    def _hand_over(self, work: Work) -> Attached:
        """To a new owner. What the engine has said that nobody has heard is still in the outbox."""
        self._is_passing = self._is_wanted = True  # what the last owner wanted is over
        self._change_if_passing()
        if isinstance(self._supervisor, FileTransfer):
            self._supervisor.ask_again()
        return Attached(number=self._acknowledged, generation=work.generation, ready=work.ready, journal=work.journal())

    def _change_if_passing(self) -> None:
        """The engine of an earlier owner makes room for one of this, if its attempt is over, or it with its attempt.

        The loss is said in the moment of the attempt's end, before the owner could send the next one.
        """
        work = self._work
        if not self._is_passing or (work is not None and not work.is_over and work.generation == self._generation):
            return
        if self._ready is not None or self._is_misplaced:
            self._lose("the server was restarted", is_meant=True, is_last=self._is_misplaced)
        self._is_passing, self._is_changing = False, True
        self._change = asyncio.create_task(self._change_engine())

    async def _change_engine(self) -> None:
        async with self._changing:
            if not self._is_changing:
                return
            try:
                await self._end_engine()
                if not self._is_misplaced:
                    self._start_engine()
            except Exception:  # a boundary: whoever asks next finds no actor, and makes one
                log.exception("no other engine can be started here")
                self._end()

    @property
    def _is_misplaced(self) -> bool:
        return self._charge is not None and self._charge.placement != self.placement

    def _reset(self) -> None:
        self._count = self._generation = self._acknowledged = self._lost = 0
        self._is_wanted, self._is_fenced, self._is_passing = True, False, False

    async def _close(self) -> None:
        await self._end_engine()
        self._outbox.clear()
        self._work = None
        self._is_changing = False

    def _start_engine(self) -> None:
        assert self._charge is not None
        charge, config = self._charge, self._charge.config
        slot = SlotId(config.slot)
        environment: Mapping[str, str] = scrub(self._environment)
        if not charge.has_threads:
            environment = {name: value for name, value in environment.items() if name != "OMP_NUM_THREADS"}
        account = config.rules.account if config.rules is not None else None
        prepare: Callable[[], None] = _nothing
        if charge.rooms:
            home = Path(charge.home) if charge.home else None
            rooms = SlotDirs(Path(charge.rooms), home=home, account=account)
            if self._temp is None:
                sweep(rooms.temps)
                self._temp = OwnFolder.claim(rooms.temps, prefix=f"{slot}-")
            temp = self._temp.path
            environment = rooms.prepare(slot, environment, temp=temp)
            prepare = partial(rooms.renew, slot, temp=temp)
            config = _with_writable(config, (str(rooms.home(slot)), str(temp), str(rooms.packs(slot))))
            config = msgspec.structs.replace(config, pack_copies=str(rooms.packs(slot)))
        folder = self._claim_scratch(charge)
        if folder is not None:
            config = _with_writable(config, (str(staging_of(folder)),))
            config = _with_readable(config, (str(given_to(folder)),))
        self._is_changing = False
        supervisor = Supervisor(
            slot,
            command=charge.command or ENGINE_COMMAND,
            environment=environment,
            config=config,
            rss_limit_bytes=charge.rss_limit_bytes,
            prepare=prepare,
        )
        self._supervisor = supervisor
        if folder is not None:
            self._supervisor = FileTransfer(
                supervisor, folder=folder, cache_bytes=charge.scratch_bytes, account=account, want=self._want
            )
        if self._is_fenced or not self._is_wanted:
            self._supervisor.retire("")
        self._supervisor.start(self)

    async def _end_engine(self) -> None:
        self._ready = None
        if self._supervisor is not None:
            await self._supervisor.stop()
            self._supervisor = None
        if self._temp is not None:
            temp, self._temp = self._temp, None
            await asyncio.to_thread(temp.release)

    def _claim_scratch(self, charge: SlotSpec) -> Path | None:
        """This agent's folder for files that are carried; with the input files of those that have ended."""
        parent = charge.scratch_of_slot
        if parent is None:
            return None
        if self._scratch is not None and self._scratch.path.parent != parent:
            self._scratch.release()
            self._scratch = None
        if self._scratch is None:
            self._scratch = OwnFolder.claim(parent)
            inputs = inputs_of(self._scratch.path)
            inputs.parent.mkdir()
            inputs.parent.chmod(SEARCHABLE)  # the engine may be of another account

            def keep_inputs(left: Path) -> None:
                if not inputs.exists() and inputs_of(left).is_dir():
                    inputs_of(left).rename(inputs)

            sweep(parent, before=keep_inputs)
        return self._scratch.path

    # -- the lease --

    def _keep_lease(self) -> None:
        """Begin the owner's lease."""
        assert self._charge is not None
        self._lease_s = self._charge.config.lease_s
        self._taken_at = time.monotonic()
        self._watching.cancel()
        self._watching = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            alone = time.monotonic() - self._taken_at
            if alone > self._lease_s * self._leases_alone:
                break
            if alone > self._lease_s:
                self._fence()
            await asyncio.sleep(self._lease_s / _LOOKS_PER_LEASE)
        log.warning("nobody asked for this worker for %.0f s; it ends", alone)
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


def _nothing() -> None:
    pass


def _asks(message: ToServer | None, request_id: int) -> bool:
    return isinstance(message, ReserveNames) and message.request_id == request_id


def _with_readable(config: EngineConfig, folders: Sequence[str]) -> EngineConfig:
    rules = config.rules
    if rules is None or rules.readable is None:
        return config
    return msgspec.structs.replace(config, rules=replace(rules, readable=(*rules.readable, *folders)))


def _with_writable(config: EngineConfig, folders: Sequence[str]) -> EngineConfig:
    rules = config.rules
    if rules is None or rules.writable is None:
        return config
    return msgspec.structs.replace(config, rules=replace(rules, writable=(*rules.writable, *folders)))
