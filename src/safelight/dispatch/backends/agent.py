"""The agent of a remote slot: the supervisor of its engines, an outbox for their messages, and the slot's owner.

* **Outbox.** Messages of engines are numbered and kept until the owner has asked for the entries after them. An answer
  that is lost on the way is sent again, and nothing is delivered twice.
* **Generation.** Commands name the engine that they are meant for, by the number of engines that were lost before it. A
  command that crosses the loss of its engine is dropped, and never reaches the next one. (A ``RunJob`` that did would
  run beside the next attempt of its job.)
* **Ownership.** Each :meth:`SlotAgent.attach` carries a token; the greatest one wins. Calls with another token are
  refused.
* **Reattachment.** An attempt outlives its server: the next one gets its journal (``journal.py``) and the messages
  since then. When the attempt is over, its engine is replaced by one with the configuration of the new server. Without
  an attempt, that happens immediately.
* **Folders.** Those on the machine's own disk belong to this agent alone (``files/owned_folder.py``). It may still run
  when another one is made for its slot, and at its end it must not remove that one's folders.
* **Placement.** An owner may need other resources than this process has. The process runs until its attempt is over;
  its last ``EngineLost`` says that the owner must make another process.
* **Lease.** An owner that does not poll within the lease may be gone: the engine is ended until the owner polls again.
  After several leases the agent ends itself.

Knows nothing of Ray: calls carry bytes.
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

from safelight.blobs.store import STORE_RETRY
from safelight.core.backoff import RetryPolicy
from safelight.core.digest import Digest
from safelight.core.errors import SafelightError
from safelight.core.worker import SlotId
from safelight.dispatch.backend import EngineHost
from safelight.dispatch.backends.agent_messages import (
    Attached,
    Command,
    Drain,
    EngineLost,
    Entry,
    Envelope,
    Kill,
    PresignRequest,
    PresignResponse,
    Resume,
    Send,
    SlotSpec,
    Token,
)
from safelight.dispatch.backends.commands import engine_command
from safelight.dispatch.backends.process import scrub
from safelight.dispatch.backends.slot_dirs import SlotDirs
from safelight.dispatch.backends.supervisor import EnginePlace, Supervisor
from safelight.dispatch.files.folders import SEARCHABLE
from safelight.dispatch.files.owned_folder import OwnedFolder, sweep
from safelight.dispatch.files.transfer import FileTransfer, Method, given_to, inputs_of, staging_of
from safelight.dispatch.journal import JournalWriter
from safelight.wire.codec import Decoder, encode
from safelight.wire.config import EngineConfig
from safelight.wire.messages import JobDone, NamesReserved, Ready, ReserveNames, RunJob, ToEngine, ToServer
from safelight.wire.protocol import PROTOCOL

log = logging.getLogger(__name__)

POLLS_PER_LEASE = 3
LONGEST_POLL_S = 10.0
LEASES_ALONE = 4
"""An agent ends itself after this many leases without an owner."""
_CHECKS_PER_LEASE = 5
"""How often it checks whether the lease is over."""
FIRST_LEASE_S = 60.0
"""How long it waits for its first owner, in place of the lease."""
_MAX_ANSWER_BYTES = 8 * 1024 * 1024


class OtherProtocol(SafelightError):
    """The server's messages may have another meaning here, or none."""

    code = "other_protocol"


def poll_s(lease_s: float) -> float:
    """How long a poll waits for an entry."""
    return min(lease_s / POLLS_PER_LEASE, LONGEST_POLL_S)


def detached_s(lease_s: float) -> float:
    """Longest time for which an engine runs after the last poll of its owner."""
    return lease_s + lease_s / _CHECKS_PER_LEASE


@dataclass(frozen=True, slots=True)
class _Buffered:
    """An entry that the owner has not acknowledged."""

    number: int
    frame: bytes
    message: ToServer | None  # of an envelope
    is_loss: bool
    at_ms: int


class SlotAgent:
    """Mutable: the supervisor, the outbox, the token. All calls are on one event loop."""

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        end: Callable[[], None],
        placement: str = "",
        store_retry: RetryPolicy = STORE_RETRY,
    ) -> None:
        """``environment``: of this process; engines get a part of it. ``end`` ends the process. ``placement``: the
        placement that the process was made with."""
        self._environment = environment
        self.placement = placement
        self._end = end
        self._store_retry = store_retry
        self._token: Token = (0, 0)
        self._spec: SlotSpec | None = None
        self._lease_s = FIRST_LEASE_S
        self._leases_alone = LEASES_ALONE
        self._host: EngineHost | None = None
        self._temp: OwnedFolder | None = None
        self._scratch: OwnedFolder | None = None
        self._outbox: deque[_Buffered] = deque()
        self._count = 0
        self._generation = 0
        self._acknowledged = 0
        self._losses = 0  # among the acknowledged entries
        self._ready: tuple[int, Ready] | None = None  # of the current engine, with the number of its entry
        self._journal: JournalWriter | None = None
        self._is_inherited = False  # the engine belongs to an earlier owner, and is replaced after its attempt
        self._is_replacing = False  # its messages are ignored
        self._is_wanted = True
        self._is_fenced = False
        self._news = asyncio.Event()
        self._changing = asyncio.Lock()
        self._commands: Decoder[Command] = Decoder(Command)
        self._polled_at = time.monotonic()
        self._watching = asyncio.create_task(self._watch())
        self._replacing: asyncio.Task[None] | None = None

    async def attach(self, token: Token, protocol: int, spec: bytes, *, reattach: bool = False) -> bytes:
        """Work for the owner of ``token``, by a :class:`SlotSpec` in msgpack. Return an :class:`Attached` in msgpack;
        nothing if a greater token came before.

        What runs here ends, and a fresh engine starts. With ``reattach``, an attempt of the earlier owner continues.
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
        self._news.set()  # a poll of the earlier owner is refused
        async with self._changing:
            if token != self._token:
                return b""
            self._spec = msgspec.msgpack.decode(spec, type=SlotSpec)
            self._commands = Decoder(Command)
            self._leases_alone = LEASES_ALONE
            if reattach and self._journal is not None:
                attached = self._hand_over(self._journal)
            else:
                await self._close()
                self._reset()
                if not self._is_misplaced:
                    self._start_engine()
                attached = Attached(is_misplaced=self._is_misplaced)
            self._begin_lease()
        return msgspec.msgpack.encode(attached)

    async def poll(self, token: Token, after: int) -> bytes | None:
        """The entries after the number ``after``, as frames; waits a while for one. ``None``: another is the owner.

        Entries up to ``after`` are acknowledged.
        """
        if token != self._token:
            return None
        self._polled_at = time.monotonic()
        self._unfence()
        self._acknowledge(after)
        if not self._outbox:
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(poll_s(self._lease_s)):
                    await self._news.wait()
        return self._entries() if token == self._token else None

    async def command(self, token: Token, commands: bytes) -> bool:
        """Carry out ``commands``, frames of :data:`Command`. Return false if another is the owner."""
        if token != self._token:
            return False
        for command in self._commands.feed(commands):
            self._carry_out(command)
        return True

    async def shutdown(self, token: Token) -> bool:
        """End the engine and send no more entries. Return false if another is the owner."""
        async with self._changing:
            if token != self._token:
                return False
            await self._close()
        return True

    async def detach(self, token: Token) -> bool:
        """The owner stops; the attempt continues for one lease, during which another may reattach to it. Return false
        if another is the owner."""
        if token != self._token:
            return False
        self._leases_alone = 1
        return True

    # -- messages of the engine (dispatch/backend.py: EngineListener) --

    def engine_ready(self, slot: SlotId, ready: Ready) -> None:
        if not self._is_replacing:
            self._add_message(ready)
            self._ready = (self._count, ready)

    def engine_message(self, slot: SlotId, message: ToServer) -> None:
        if self._is_replacing:
            return
        self._add_message(message)
        if isinstance(message, JobDone) and self._journal is not None and self._journal.covers(message):
            self._journal.is_over = True
            self._replace_if_inherited()

    def engine_lost(self, slot: SlotId, reason: str) -> None:
        if not self._is_replacing:
            self._add_loss(reason)
            self._replace_if_inherited()

    def _add_message(self, message: ToServer) -> None:
        self._count += 1
        self._add(Envelope(number=self._count, message=message))

    def _add_loss(self, reason: str, *, is_expected: bool = False, is_last: bool = False) -> None:
        self._ready = None
        self._generation += 1
        self._count += 1
        is_expected = is_expected or not self._is_wanted
        self._add(EngineLost(number=self._count, reason=reason, is_expected=is_expected, is_last=is_last))

    def _presign(self, request_id: int, method: Method, digest: Digest) -> None:
        self._count += 1
        self._add(PresignRequest(number=self._count, request_id=request_id, method=method, digest=digest))

    def _add(self, entry: Entry) -> None:
        message = entry.message if isinstance(entry, Envelope) else None
        at_ms = time.time_ns() // 1_000_000
        self._outbox.append(_Buffered(entry.number, encode([entry]), message, isinstance(entry, EngineLost), at_ms))
        self._news.set()

    def _acknowledge(self, number: int) -> None:
        """The owner has received the entries up to that number."""
        while self._outbox and self._outbox[0].number <= number:
            entry = self._outbox.popleft()
            self._acknowledged = entry.number
            self._losses += entry.is_loss
            if self._journal is not None and self._journal.generation < self._losses:
                self._journal = None
            if self._journal is not None and entry.message is not None:
                self._journal.record(entry.message, at_ms=entry.at_ms)

    def _entries(self) -> bytes:
        frames: list[bytes] = []
        size = 0
        for entry in self._outbox:
            size += len(entry.frame)
            if frames and size > _MAX_ANSWER_BYTES:
                break
            frames.append(entry.frame)
        return b"".join(frames)

    def _carry_out(self, command: Command) -> None:
        if self._host is None:
            return
        match command:
            case Send() if command.generation == self._generation and not self._is_replacing:
                self._note(command.message)
                self._host.send(command.message)
            case Kill() if command.generation == self._generation:
                self._host.kill(command.reason)
            case Drain():
                self._is_wanted = False
                self._host.drain(command.reason)
            case Resume():
                self._is_wanted = True
                if not self._is_fenced:
                    self._host.resume()
            case PresignResponse() if isinstance(self._host, FileTransfer):
                self._host.presigned(command.request_id, command.url)

    def _note(self, message: ToEngine) -> None:
        """A message of the owner's also shows what the owner has received."""
        match message:
            case RunJob() if self._ready is not None:
                number, ready = self._ready
                self._acknowledge(number)  # an owner that sends a job knows that the engine is ready
                self._journal = JournalWriter(message, ready=ready, generation=self._generation)
            case NamesReserved() if self._journal is not None:
                requests = (e.number for e in self._outbox if _requests_names(e.message, message.request_id))
                self._acknowledge(max(requests, default=0))  # an owner that answers has received the request
                self._journal.record_numbers(message.request_id, message.first)

    # -- engines --

    def _hand_over(self, journal: JournalWriter) -> Attached:
        """Hand the attempt over to a new owner. Entries that nobody has received are still in the outbox."""
        self._is_inherited = self._is_wanted = True  # the commands of the last owner no longer hold
        self._replace_if_inherited()
        if isinstance(self._host, FileTransfer):
            self._host.presign_again()
        return Attached(
            number=self._acknowledged, generation=journal.generation, ready=journal.ready, journal=journal.journal()
        )

    def _replace_if_inherited(self) -> None:
        """Replace the engine of an earlier owner if its attempt is over, or if it was lost together with its attempt.

        The loss is reported together with the end of the attempt, before the owner could send the next one.
        """
        journal = self._journal
        is_running = journal is not None and not journal.is_over and journal.generation == self._generation
        if not self._is_inherited or is_running:
            return
        if self._ready is not None or self._is_misplaced:
            self._add_loss("the server was restarted", is_expected=True, is_last=self._is_misplaced)
        self._is_inherited, self._is_replacing = False, True
        self._replacing = asyncio.create_task(self._replace_engine())

    async def _replace_engine(self) -> None:
        async with self._changing:
            if not self._is_replacing:
                return
            try:
                await self._end_engine()
                if not self._is_misplaced:
                    self._start_engine()
            except Exception:  # a boundary: the next server finds no actor, and makes one
                log.exception("no other engine can be started here")
                self._end()

    @property
    def _is_misplaced(self) -> bool:
        return self._spec is not None and self._spec.placement != self.placement

    def _reset(self) -> None:
        self._count = self._generation = self._acknowledged = self._losses = 0
        self._is_wanted, self._is_fenced, self._is_inherited = True, False, False

    async def _close(self) -> None:
        await self._end_engine()
        self._outbox.clear()
        self._journal = None
        self._is_replacing = False

    def _start_engine(self) -> None:
        assert self._spec is not None
        spec, config = self._spec, self._spec.config
        slot = SlotId(config.slot)
        environment: Mapping[str, str] = scrub(self._environment)
        if not spec.has_threads:
            environment = {name: value for name, value in environment.items() if name != "OMP_NUM_THREADS"}
        account = config.rules.account if config.rules is not None else None
        prepare: Callable[[], None] = _nothing
        if spec.slot_dirs:
            home = Path(spec.home) if spec.home else None
            slot_dirs = SlotDirs(Path(spec.slot_dirs), home=home, account=account)
            if self._temp is None:
                sweep(slot_dirs.temps)
                self._temp = OwnedFolder.claim(slot_dirs.temps, prefix=f"{slot}-")
            temp = self._temp.path
            environment = slot_dirs.prepare(slot, environment, temp=temp)
            prepare = partial(slot_dirs.renew, slot, temp=temp)
            config = _with_writable(config, (str(slot_dirs.home(slot)), str(temp), str(slot_dirs.packs(slot))))
            config = msgspec.structs.replace(config, pack_copies=str(slot_dirs.packs(slot)))
        folder = self._claim_scratch(spec)
        if folder is not None:
            config = _with_writable(config, (str(staging_of(folder)),))
            config = _with_readable(config, (str(given_to(folder)),))
        self._is_replacing = False
        host: EngineHost = Supervisor(
            slot,
            command=spec.command or engine_command(config),
            place=EnginePlace(config, environment, prepare),
            rss_limit_bytes=spec.rss_limit_bytes,
        )
        if folder is not None:
            host = FileTransfer(
                host,
                folder=folder,
                cache_bytes=spec.scratch_bytes,
                account=account,
                presign=self._presign,
                store_retry=self._store_retry,
            )
        self._host = host
        if self._is_fenced or not self._is_wanted:
            host.drain("")
        host.start(self)

    async def _end_engine(self) -> None:
        self._ready = None
        if self._host is not None:
            await self._host.stop()
            self._host = None
        if self._temp is not None:
            temp, self._temp = self._temp, None
            await asyncio.to_thread(temp.release)

    def _claim_scratch(self, spec: SlotSpec) -> Path | None:
        """This agent's folder for copied files, with the cached input files of agents that have ended."""
        parent = spec.scratch_of_slot
        if parent is None:
            return None
        if self._scratch is not None and self._scratch.path.parent != parent:
            self._scratch.release()
            self._scratch = None
        if self._scratch is None:
            self._scratch = OwnedFolder.claim(parent)
            inputs = inputs_of(self._scratch.path)
            inputs.parent.mkdir()
            inputs.parent.chmod(SEARCHABLE)  # the engine may run as another account

            def keep_inputs(left: Path) -> None:
                if not inputs.exists() and inputs_of(left).is_dir():
                    inputs_of(left).rename(inputs)

            sweep(parent, before=keep_inputs)
        return self._scratch.path

    # -- the lease --

    def _begin_lease(self) -> None:
        assert self._spec is not None
        self._lease_s = self._spec.config.lease_s
        self._polled_at = time.monotonic()
        self._watching.cancel()
        self._watching = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            alone_s = time.monotonic() - self._polled_at
            if alone_s > self._lease_s * self._leases_alone:
                break
            if alone_s > self._lease_s:
                self._fence()
            await asyncio.sleep(self._lease_s / _CHECKS_PER_LEASE)
        log.warning("no server polled this worker for %.0f s; it ends", alone_s)
        async with self._changing:
            await self._close()
        self._end()

    def _fence(self) -> None:
        if self._host is not None and not self._is_fenced:
            self._is_fenced = True
            self._host.drain(f"the server did not poll for {self._lease_s:.0f} s")

    def _unfence(self) -> None:
        if self._host is not None and self._is_fenced:
            self._is_fenced = False
            if self._is_wanted:
                self._host.resume()


def _nothing() -> None:
    pass


def _requests_names(message: ToServer | None, request_id: int) -> bool:
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
