"""Engines on a Ray cluster: a detached actor holds the agent of each slot (``agent.py``).

The actor's name consists of the server's name, the slot and the protocol (``wire/protocol.py``), so that a server that
is restarted finds its own actors, and reattaches to the attempts that run there. An actor that no server comes back
for ends itself. The resources that an actor takes are not part of its name: an actor that the server would place
elsewhere now runs until its attempt is over, and is then replaced. A slot whose actor waits for its place is starting:
the cluster's autoscaler sees what is missing, and may provide it.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from safelight.core.digest import Digest, parse_digest
from safelight.core.pool import Pool
from safelight.core.worker import SlotId
from safelight.dispatch.backend import Listener
from safelight.dispatch.backends.agent import detached_s, poll_s
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
from safelight.dispatch.backends.ray_cluster import (
    SHUTDOWN_S,
    Cluster,
    Connection,
    first_line,
    import_ray,
    node_selector,
)
from safelight.dispatch.backends.supervisor import pause_s
from safelight.dispatch.files.transfer import Method
from safelight.wire.codec import Decoder, encode
from safelight.wire.messages import Ready, ToEngine
from safelight.wire.protocol import PROTOCOL

log = logging.getLogger(__name__)

T = TypeVar("T")

Presigner = Callable[[Method, Digest], Awaitable[str | None]]
"""Returns a presigned URL of the store; ``None`` if there is none."""


class RayBackend:
    """The :class:`~safelight.dispatch.backend.Backend` of a Ray cluster.

    ``server``: its name among the servers of the namespace. ``labels``: the pools of each slot. ``epoch``: the server
    with the greater one gets a slot; by default the time of the start. ``presigner``: for machines that copy files
    themselves. Mutable: the slots, and whether it is connected. Raises :class:`RayMissing`.
    """

    def __init__(
        self,
        specs: Mapping[SlotId, SlotSpec],
        *,
        cluster: Cluster,
        server: str,
        labels: Mapping[SlotId, frozenset[Pool]] | None = None,
        epoch: int | None = None,
        presigner: Presigner | None = None,
    ) -> None:
        import_ray()
        labels = labels or {}
        pools = frozenset[Pool]().union(*labels.values())
        self._epoch = epoch
        self._connection = Connection(cluster, server)
        self._slots = {
            slot: _Slot(slot, spec, self._connection, node_selector(labels.get(slot, frozenset()), pools), presigner)
            for slot, spec in specs.items()
        }
        self.copies_files = any(spec.scratch for spec in specs.values())

    @property
    def slots(self) -> Sequence[SlotId]:
        return tuple(self._slots)

    @property
    def detached_s(self) -> float:
        return max((slot.detached_s for slot in self._slots.values()), default=0.0)

    async def start(self, listener: Listener) -> None:
        epoch = time.time_ns() if self._epoch is None else self._epoch
        self._connection.open()
        for slot in self._slots.values():
            slot.start(listener, epoch)

    def send(self, slot: SlotId, message: ToEngine) -> None:
        self._slots[slot].send(message)

    def kill(self, slot: SlotId, reason: str) -> None:
        self._slots[slot].kill(reason)

    def drain(self, slot: SlotId, reason: str) -> None:
        self._slots[slot].drain(reason)

    def resume(self, slot: SlotId) -> None:
        self._slots[slot].resume()

    async def stop(self, *, detach: Collection[SlotId] = ()) -> None:
        await asyncio.gather(*(slot.stop(detach=name in detach) for name, slot in self._slots.items()))
        await self._connection.close()


class _Slot:
    """Mutable: one slot, its current actor, and the commands on their way to it.

    *wanted* -> an actor is found or made -> *attached* -> the actor is polled for entries and sent commands, until it
    fails, belongs to another server, or is not wanted any more.
    """

    def __init__(
        self,
        slot: SlotId,
        spec: SlotSpec,
        connection: "Connection",
        selector: Mapping[str, str],
        presigner: Presigner | None,
    ) -> None:
        self._slot = slot
        self._presigner = presigner
        self._presigning: set[asyncio.Task[None]] = set()
        self._spec = spec
        self._connection = connection
        self._selector = selector
        self._epoch = 0
        self._lease_s = spec.config.lease_s
        self._listener: Listener | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_wanted = asyncio.Event()
        self._is_wanted.set()
        self._is_unwanted = asyncio.Event()
        self._commands: asyncio.Queue[Command] = asyncio.Queue()
        self._actor: Any = None
        self._token: Token | None = None  # since this server has attached to the actor
        self._attachments = 0
        self._has_attached = False  # from now on, the actor runs this server's engines
        self._generation = 0
        self._is_ready = False
        self._reason: str | None = None  # of a kill or a drain that is on its way
        self._is_over = False  # another server has the slot

    def start(self, listener: Listener, epoch: int) -> None:
        self._listener, self._epoch = listener, epoch
        self._task = asyncio.get_running_loop().create_task(self._keep_alive())

    def send(self, message: ToEngine) -> None:
        if self._is_ready and self._reason is None:
            self._commands.put_nowait(Send(generation=self._generation, message=message))

    def kill(self, reason: str) -> None:
        if self._token is not None and self._reason is None:
            self._reason = reason
            self._commands.put_nowait(Kill(generation=self._generation, reason=reason))

    def drain(self, reason: str) -> None:
        self._is_wanted.clear()
        if not self._is_ready:
            self._is_unwanted.set()
            return
        if self._reason is None:
            self._reason = reason
        self._commands.put_nowait(Drain(reason=reason))

    def resume(self) -> None:
        self._is_wanted.set()
        self._commands.put_nowait(Resume())

    @property
    def detached_s(self) -> float:
        return detached_s(self._lease_s)

    async def stop(self, *, detach: bool) -> None:
        """End the engine and its actor, or keep them for the next server. The listener is not called any more."""
        self._listener = None
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._is_ready, self._reason = False, None
        with contextlib.suppress(Exception):  # a boundary: the cluster may be gone
            if not detach:
                await self._disconnect()
            elif self._token is not None:
                await self._detach(self._token)

    async def _keep_alive(self) -> None:
        failures = 0
        while not self._is_over:
            await self._is_wanted.wait()
            self._is_unwanted.clear()
            if not self._is_wanted.is_set():
                continue
            try:
                await self._connection.is_open.wait()
                reason = await self._live()
                failures = 0
            except Exception as error:  # a boundary: whatever Ray raises, the slot tries again
                reason = f"the worker's actor is lost: {first_line(error)}"
                if not self._is_ready:
                    failures += 1
                    log.warning("the slot %s has no worker yet: %s", self._slot, first_line(error))
            self._lose(reason)
            if not self._is_over:
                with contextlib.suppress(Exception):  # the same boundary: the actor may be gone
                    await self._disconnect()
            await asyncio.sleep(pause_s(failures))

    async def _live(self) -> str:
        """Attach to the slot's actor and follow it. Return why that ended; raises what Ray raises."""
        found = await self._connection.find(self._slot, self._selector)
        self._actor = found.actor
        if not found.is_new:  # one that waits for a place may wait for an outdated one
            try:
                await self._call("is_placed", limit_s=self._lease_s)
            except TimeoutError:
                return f"its actor had no place for {self._lease_s:g} s, and is replaced"
        self._attachments += 1
        token = (self._epoch, self._attachments)
        spec = msgspec.msgpack.encode(msgspec.structs.replace(self._spec, placement=found.placement))
        answer = await _either(
            self._call("attach", token, PROTOCOL, spec, not self._has_attached),
            self._is_unwanted.wait(),
            self._connection.outdated(found),
        )
        if answer is None:
            return ""
        if not answer:
            return self._yield()
        attached = msgspec.msgpack.decode(answer, type=Attached)
        if attached.is_misplaced:
            log.info("the slot %s has an actor with other resources, which is replaced", self._slot)
            self._token = token
            return ""
        self._token, self._generation, self._commands = token, attached.generation, asyncio.Queue()
        self._has_attached = True
        if attached.ready is not None and attached.journal is not None:
            self._is_ready = True
            if self._listener is not None:
                self._listener.engine_reattached(self._slot, attached.ready, attached.journal)
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(self._send_commands(token))
            reason = await _either(self._follow(token, attached.number), self._is_unwanted.wait())
            sending.cancel()
        return reason or ""

    async def _follow(self, token: Token, after: int) -> str:
        """Receive the entries after ``after``, until no engine is wanted or another server has the actor."""
        decoder: Decoder[Entry] = Decoder(Entry)
        while (answer := await self._call("poll", token, after, limit_s=self._silence_s)) is not None:
            for entry in decoder.feed(answer):
                after = entry.number
                self._receive(entry)
                if isinstance(entry, EngineLost) and entry.is_last:
                    return entry.reason
            if not self._is_ready and not self._is_wanted.is_set():
                return ""
        return self._yield()

    async def _send_commands(self, token: Token) -> None:
        """Send commands in their order; those that wait go in one call."""
        while True:
            commands = [await self._commands.get()]
            while not self._commands.empty():
                commands.append(self._commands.get_nowait())
            await self._call("command", token, encode(commands), limit_s=self._silence_s)

    def _receive(self, entry: Entry) -> None:
        match entry:
            case EngineLost(is_last=True) if not self._is_ready:  # the loss of its engine is reported already
                self._generation += 1
            case EngineLost():
                self._generation += 1
                self._is_ready = True  # the loss of an engine that was never ready is reported too
                self._lose(entry.reason, is_expected=entry.is_expected)
            case Envelope(message=Ready() as ready):
                self._is_ready = True
                if self._listener is not None:
                    self._listener.engine_ready(self._slot, ready)
            case PresignRequest():
                task = asyncio.get_running_loop().create_task(self._answer_presign(entry))
                self._presigning.add(task)
                task.add_done_callback(self._presigning.discard)
            case Envelope() if self._listener is not None:
                self._listener.engine_message(self._slot, entry.message)

    async def _answer_presign(self, request: PresignRequest) -> None:
        url = None
        if self._presigner is not None:
            url = await self._presigner(request.method, parse_digest(request.digest))
        self._commands.put_nowait(PresignResponse(request_id=request.request_id, url=url or ""))

    def _lose(self, reason: str, *, is_expected: bool = False) -> None:
        reason, self._reason = self._reason or reason, None
        was_ready, self._is_ready = self._is_ready, False
        if was_ready and self._listener is not None:
            level = logging.INFO if is_expected else logging.WARNING
            log.log(level, "the worker of slot %s is gone: %s", self._slot, reason)
            self._listener.engine_lost(self._slot, reason)

    def _yield(self) -> str:
        self._is_over = True
        log.error("another server has taken over the slot %s; this server stops using it", self._slot)
        return "another server has taken the worker over"

    async def _detach(self, token: Token) -> None:
        """Send the commands that are left, and keep the actor for the next server."""
        commands: list[Command] = []
        while not self._commands.empty():
            commands.append(self._commands.get_nowait())
        if commands:
            await self._call("command", token, encode(commands), limit_s=SHUTDOWN_S)
        await self._call("detach", token, limit_s=SHUTDOWN_S)

    async def _disconnect(self) -> None:
        """End the actor, its engine first."""
        actor, self._actor = self._actor, None
        token, self._token = self._token, None
        self._commands = asyncio.Queue()
        if actor is None or self._is_over:
            return
        try:
            if token is not None and not await self._call("shutdown", token, limit_s=SHUTDOWN_S, actor=actor):
                return
        finally:
            await self._connection.end(actor)

    @property
    def _silence_s(self) -> float:
        """An actor that gives no answer for this long has ended its engine, because it has no owner."""
        return self._lease_s + poll_s(self._lease_s)

    async def _call(self, method: str, *arguments: Any, limit_s: float | None = None, actor: Any = None) -> Any:
        """Call the actor. Ray's future is never cancelled: its client would lose its connection."""
        reference = getattr(actor or self._actor, method).remote(*arguments)
        answer = asyncio.wrap_future(reference.future())
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())
        async with asyncio.timeout(limit_s):
            return await asyncio.shield(answer)


async def _either(work: Coroutine[Any, Any, T], *others: Coroutine[Any, Any, object]) -> T | None:
    """The result of ``work``, or ``None`` if one of the others ends first."""
    task = asyncio.ensure_future(work)
    tasks = [task, *(asyncio.ensure_future(other) for other in others)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
