"""Engines on a Ray cluster: a detached actor holds each slot's :class:`~safelight.dispatch.backends.agent.SlotAgent`.

The actor's name is made of the server's, the slot, and the protocol (``wire/protocol.py``), so that a server that is
started again finds its own, and goes on with the attempt that runs there; one that nobody comes back for ends itself.
What an actor takes of the cluster is not in its name: an actor that the server would place otherwise goes on until its
attempt is over, and is replaced then. An actor that waits for its place is a slot that is starting: what the cluster
lacks is for its autoscaler to see and to bring.

The only module that imports Ray, and only when a backend starts.
"""

import asyncio
import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from safelight.core.digest import Digest, parse_digest
from safelight.core.errors import SafelightError
from safelight.core.pool import Pool
from safelight.core.worker import SlotId
from safelight.dispatch.backend import Listener
from safelight.dispatch.backends.agent import (
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
    SlotAgent,
    SlotSpec,
    Token,
    alone_s,
    take_s,
)
from safelight.dispatch.backends.supervisor import pause_s
from safelight.dispatch.files.transfer import Method
from safelight.settings import process_environment
from safelight.wire.codec import Decoder, encode
from safelight.wire.messages import Ready, ToEngine
from safelight.wire.protocol import PROTOCOL

log = logging.getLogger(__name__)

T = TypeVar("T")

Address = Callable[[Method, Digest], Awaitable[str | None]]
"""Signs an address of the store."""

POOL_LABEL = "safelight-pool/"
"""A node with the label ``safelight-pool/large=yes`` is for slots of the pool ``large``, and for no others."""
YES = "yes"
SLOT_RESOURCE = "safelight-slot"
"""The custom resource of a node without GPUs that ``safelight worker`` starts: how many slots it takes."""
_OFFERED = {"num_gpus": "GPU", "num_cpus": "CPU"}
"""What the cluster calls an option's resource."""
_LOOK_S = 5.0
"""Between two looks at what the cluster offers to a slot without a place."""
_CALLS_AT_ONCE = 16
_PATIENCE_S = 10.0
"""How long a cluster may take to answer before that is said."""
_LEAVE_S = 15.0
"""How long the end of an engine may take, before its actor is ended all the same."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where the actors run. ``resources``: what each takes; empty: a GPU where the cluster has any at the time, else a
    ``safelight-slot``, and never a mere CPU."""

    address: str
    namespace: str = "safelight"
    resources: Mapping[str, float] | None = None


class RayMissing(SafelightError):
    """The backend is Ray's, which is not installed."""

    code = "ray_missing"


class SlotActor:
    """What Ray runs: it hands calls on. Its process is the slot's alone, and ends with it."""

    def __init__(self, placement: str) -> None:
        logging.basicConfig(level=logging.INFO)  # to the files of this process in Ray's folder of logs
        self._outpost = SlotAgent(process_environment(), end=lambda: os._exit(0), placement=placement)

    async def is_placed(self) -> bool:
        """Answers as soon as the actor has a process."""
        return True

    async def adopt(self, token: Token, protocol: int, charge: bytes, succeeds: bool) -> bytes:
        return await self._outpost.adopt(token, protocol, charge, succeeds=succeeds)

    async def take(self, token: Token, after: int) -> bytes | None:
        return await self._outpost.take(token, after)

    async def tell(self, token: Token, orders: bytes) -> bool:
        return await self._outpost.tell(token, orders)

    async def leave(self, token: Token) -> bool:
        return await self._outpost.leave(token)

    async def bequeath(self, token: Token) -> bool:
        return await self._outpost.bequeath(token)


class RayBackend:
    """The :class:`~safelight.dispatch.backend.Backend` of a Ray cluster.

    ``server`` names the server among those of the namespace; ``labels`` are those of the slots' pools. ``epoch``: of
    two servers that come to the same slot the greater one gets it; by default the time of the start. ``address``: of a
    blob in the store, for machines that carry files themselves; ``None`` where there is none. Mutable: the slots, and
    whether it is connected. Raises :class:`RayMissing`.
    """

    def __init__(
        self,
        charges: Mapping[SlotId, SlotSpec],
        *,
        cluster: Cluster,
        server: str,
        labels: Mapping[SlotId, frozenset[Pool]] | None = None,
        epoch: int | None = None,
        address: Address | None = None,
    ) -> None:
        _ray()
        labels = labels or {}
        pools = frozenset[Pool]().union(*labels.values())
        self._epoch = epoch
        self._connection = _Connection(cluster, server)
        self._slots = {
            slot: _Slot(slot, charge, self._connection, _selector(labels.get(slot, frozenset()), pools), address)
            for slot, charge in charges.items()
        }
        self.copies_files = any(charge.scratch for charge in charges.values())

    @property
    def slots(self) -> Sequence[SlotId]:
        return tuple(self._slots)

    @property
    def detached_s(self) -> float:
        return max((slot.alone_s for slot in self._slots.values()), default=0.0)

    async def start(self, listener: Listener) -> None:
        epoch = time.time_ns() if self._epoch is None else self._epoch
        self._connection.open()
        for slot in self._slots.values():
            slot.start(listener, epoch)

    def send(self, slot: SlotId, message: ToEngine) -> None:
        self._slots[slot].send(message)

    def kill(self, slot: SlotId, reason: str) -> None:
        self._slots[slot].kill(reason)

    def retire(self, slot: SlotId, reason: str) -> None:
        self._slots[slot].retire(reason)

    def restore(self, slot: SlotId) -> None:
        self._slots[slot].restore()

    async def stop(self, *, leaving: Collection[SlotId] = ()) -> None:
        await asyncio.gather(*(slot.stop(is_leaving=name in leaving) for name, slot in self._slots.items()))
        await self._connection.close()


class _Slot:
    """Mutable: one slot, its actor of the moment, and what is on the way to it.

    *wanted* -> an actor is found or made -> *adopted* -> it is asked what was said, and told orders, until it fails,
    belongs to another, or is wanted no more.
    """

    def __init__(
        self,
        slot: SlotId,
        charge: SlotSpec,
        connection: "_Connection",
        selector: Mapping[str, str],
        address: Address | None,
    ) -> None:
        self._slot = slot
        self._address = address
        self._addressing: set[asyncio.Task[None]] = set()
        self._charge = charge
        self._connection = connection
        self._selector = selector
        self._epoch = 0
        self._lease_s = charge.config.lease_s
        self._listener: Listener | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_wanted = asyncio.Event()
        self._is_wanted.set()
        self._is_unwanted = asyncio.Event()
        self._orders: asyncio.Queue[Command] = asyncio.Queue()
        self._actor: Any = None
        self._token: Token | None = None  # since the actor is adopted
        self._adoptions = 0
        self._has_adopted = False  # what runs in the actor from now on is this server's
        self._generation = 0
        self._is_ready = False
        self._reason: str | None = None  # of a kill or a retirement that is on its way
        self._is_over = False  # another server has the slot

    def start(self, listener: Listener, epoch: int) -> None:
        self._listener, self._epoch = listener, epoch
        self._task = asyncio.get_running_loop().create_task(self._keep_alive())

    def send(self, message: ToEngine) -> None:
        if self._is_ready and self._reason is None:
            self._orders.put_nowait(Send(generation=self._generation, message=message))

    def kill(self, reason: str) -> None:
        if self._token is not None and self._reason is None:
            self._reason = reason
            self._orders.put_nowait(Kill(generation=self._generation, reason=reason))

    def retire(self, reason: str) -> None:
        self._is_wanted.clear()
        if not self._is_ready:
            self._is_unwanted.set()
            return
        if self._reason is None:
            self._reason = reason
        self._orders.put_nowait(Drain(reason=reason))

    def restore(self) -> None:
        self._is_wanted.set()
        self._orders.put_nowait(Resume())

    @property
    def alone_s(self) -> float:
        return alone_s(self._lease_s)

    async def stop(self, *, is_leaving: bool) -> None:
        """End the engine and its actor, or leave them to the next server; nothing more is said."""
        self._listener = None
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._is_ready, self._reason = False, None
        with contextlib.suppress(Exception):  # a boundary: the cluster may be gone
            if not is_leaving:
                await self._part()
            elif self._token is not None:
                await self._bequeath(self._token)

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
            except Exception as error:  # a boundary: whatever Ray raises, the slot goes on
                reason = f"the worker's actor is lost: {_first_line(error)}"
                if not self._is_ready:
                    failures += 1
                    log.warning("the slot %s has no worker yet: %s", self._slot, _first_line(error))
            self._lose(reason)
            if not self._is_over:
                with contextlib.suppress(Exception):  # the same boundary: an actor that is gone needs no farewell
                    await self._part()
            await asyncio.sleep(pause_s(failures))

    async def _live(self) -> str:
        """Adopt the slot's actor and follow it. Returns why it is over; raises what Ray does."""
        found = await self._connection.find(self._slot, self._selector)
        self._actor = found.actor
        if not found.is_new:  # one that waits for a place may wait for another than it would be given now
            try:
                await self._call("is_placed", limit_s=self._lease_s)
            except TimeoutError:
                return f"its actor had no place for {self._lease_s:g} s, and is made again"
        self._adoptions += 1
        token = (self._epoch, self._adoptions)
        charge = msgspec.msgpack.encode(msgspec.structs.replace(self._charge, placement=found.placement))
        answer = await _either(
            self._call("adopt", token, PROTOCOL, charge, not self._has_adopted),
            self._is_unwanted.wait(),
            self._connection.outdated(found),
        )
        if answer is None:
            return ""
        if not answer:
            return self._give_way()
        adopted = msgspec.msgpack.decode(answer, type=Attached)
        if adopted.is_misplaced:
            log.info("the slot %s has an actor of other resources, which is replaced", self._slot)
            self._token = token
            return ""
        self._token, self._generation, self._orders = token, adopted.generation, asyncio.Queue()
        self._has_adopted = True
        if adopted.ready is not None and adopted.journal is not None:
            self._is_ready = True
            if self._listener is not None:
                self._listener.engine_reattached(self._slot, adopted.ready, adopted.journal)
        async with asyncio.TaskGroup() as group:
            telling = group.create_task(self._tell(token))
            reason = await _either(self._follow(token, adopted.number), self._is_unwanted.wait())
            telling.cancel()
        return reason or ""

    async def _follow(self, token: Token, after: int) -> str:
        """Hear what the actor's engines say from then on, until no engine is wanted or another server has the actor."""
        decoder: Decoder[Entry] = Decoder(Entry)
        while (answer := await self._call("take", token, after, limit_s=self._silence_s)) is not None:
            for entry in decoder.feed(answer):
                after = entry.number
                self._hear(entry)
                if isinstance(entry, EngineLost) and entry.is_last:
                    return entry.reason
            if not self._is_ready and not self._is_wanted.is_set():
                return ""
        return self._give_way()

    async def _tell(self, token: Token) -> None:
        """Orders in their order, those that wait together in one call."""
        while True:
            orders = [await self._orders.get()]
            while not self._orders.empty():
                orders.append(self._orders.get_nowait())
            await self._call("tell", token, encode(orders), limit_s=self._silence_s)

    def _hear(self, entry: Entry) -> None:
        match entry:
            case EngineLost(is_last=True) if not self._is_ready:  # its engine is lost already, and told so
                self._generation += 1
            case EngineLost():
                self._generation += 1
                self._is_ready = True  # the loss of an engine that never was ready is told as well
                self._lose(entry.reason, is_meant=entry.is_meant)
            case Envelope(message=Ready() as ready):
                self._is_ready = True
                if self._listener is not None:
                    self._listener.engine_ready(self._slot, ready)
            case PresignRequest():
                task = asyncio.get_running_loop().create_task(self._answer(entry))
                self._addressing.add(task)
                task.add_done_callback(self._addressing.discard)
            case Envelope() if self._listener is not None:
                self._listener.engine_message(self._slot, entry.message)

    async def _answer(self, wanted: PresignRequest) -> None:
        url = await self._address(wanted.method, parse_digest(wanted.digest)) if self._address is not None else None
        self._orders.put_nowait(PresignResponse(request=wanted.request, url=url or ""))

    def _lose(self, reason: str, *, is_meant: bool = False) -> None:
        reason, self._reason = self._reason or reason, None
        was_ready, self._is_ready = self._is_ready, False
        if was_ready and self._listener is not None:
            level = logging.INFO if is_meant else logging.WARNING
            log.log(level, "the worker of slot %s is gone: %s", self._slot, reason)
            self._listener.engine_lost(self._slot, reason)

    def _give_way(self) -> str:
        self._is_over = True
        log.error("another server has taken over the slot %s; this one does without", self._slot)
        return "another server has taken the worker over"

    async def _bequeath(self, token: Token) -> None:
        """Leave the actor to the next server, with the orders that are still here."""
        orders: list[Command] = []
        while not self._orders.empty():
            orders.append(self._orders.get_nowait())
        if orders:
            await self._call("tell", token, encode(orders), limit_s=_LEAVE_S)
        await self._call("bequeath", token, limit_s=_LEAVE_S)

    async def _part(self) -> None:
        """End the actor, its engine first."""
        actor, self._actor = self._actor, None
        token, self._token = self._token, None
        self._orders = asyncio.Queue()
        if actor is None or self._is_over:
            return
        try:
            if token is not None and not await self._call("leave", token, limit_s=_LEAVE_S, actor=actor):
                return
        finally:
            await self._connection.end(actor)

    @property
    def _silence_s(self) -> float:
        """After so long without an answer the actor has ended its engine, for want of an owner."""
        return self._lease_s + take_s(self._lease_s)

    async def _call(self, method: str, *arguments: Any, limit_s: float | None = None, actor: Any = None) -> Any:
        """Who stops waiting leaves Ray's future alone: its client loses its connection over one that is cancelled."""
        reference = getattr(actor or self._actor, method).remote(*arguments)
        answer = asyncio.wrap_future(reference.future())
        answer.add_done_callback(lambda it: it.cancelled() or it.exception())
        async with asyncio.timeout(limit_s):
            return await asyncio.shield(answer)


class _Connection:
    """This process's connection to the cluster. Mutable."""

    def __init__(self, cluster: Cluster, server: str) -> None:
        self._cluster = cluster
        self._server = server
        self._is_ours = False
        self._task: asyncio.Task[None] | None = None
        self.is_open = asyncio.Event()

    def open(self) -> None:
        """Connect, however long it takes until there is a cluster."""
        self._task = asyncio.get_running_loop().create_task(self._open())

    async def find(self, slot: SlotId, selector: Mapping[str, str]) -> "_Found":
        """The slot's actor: the one that is there, else a new one, which waits for its place by itself."""
        making = _in_thread(self._find, slot, selector)
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            with contextlib.suppress(Exception):
                await self.end((await asyncio.wait_for(making, _LEAVE_S)).actor)
            raise

    async def outdated(self, found: "_Found") -> None:
        """Returns when an actor that still waits for its place would be placed otherwise now. Says once if no node of
        the moment offers what it waits for."""
        is_said = False
        while True:
            await asyncio.sleep(_LOOK_S)
            offered = await _in_thread(lambda: _ray().cluster_resources())
            if not self._cluster.resources and _slot_resources(offered) != found.resources:
                return
            missing = [name for name in found.resources if not offered.get(_OFFERED.get(name, name))]
            if missing and not is_said:
                is_said = True
                log.warning(
                    "no node of the cluster offers %s, which a worker takes; start nodes with `safelight worker`, or "
                    "set ray_resources to what the nodes have",
                    ", ".join(missing),
                )

    async def end(self, actor: Any) -> None:
        await _in_thread(lambda: _ray().kill(actor, no_restart=True))

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._is_ours:
            self._is_ours = False
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(_in_thread(_ray().shutdown), _LEAVE_S)

    async def _open(self) -> None:
        failures = 0
        while not self.is_open.is_set():
            try:
                connecting = _in_thread(self._connect)
                await asyncio.wait((connecting,), timeout=_PATIENCE_S)
                if not connecting.done():
                    log.warning("the Ray cluster at %s does not answer yet", self._cluster.address)
                await connecting
                _keep_signal(signal.SIGTERM)
                self.is_open.set()
            except Exception as error:  # a boundary: whatever Ray raises, the server answers and tries again
                failures += 1
                log.warning("no connection to the Ray cluster at %s: %s", self._cluster.address, _first_line(error))
                await asyncio.sleep(pause_s(failures + 1))

    def _connect(self) -> None:
        ray = _ray()
        logging.getLogger("ray").setLevel(logging.ERROR)
        if not ray.is_initialized():
            ray.init(
                address=self._cluster.address,
                namespace=self._cluster.namespace,
                log_to_driver=False,
                configure_logging=False,
            )
            self._is_ours = True
        log.info("connected to the Ray cluster at %s", self._cluster.address)

    def _find(self, slot: SlotId, selector: Mapping[str, str]) -> "_Found":
        ray = _ray()
        name = f"{self._server}/{slot}/{PROTOCOL}"
        resources = self._cluster.resources or _slot_resources(ray.cluster_resources())
        placement = f"{sorted(resources.items())} {sorted(selector.items())}"
        with contextlib.suppress(ValueError):  # there is none of that name
            there = ray.get_actor(name, namespace=self._cluster.namespace)
            return _Found(there, resources, placement, is_new=False)
        options: dict[str, Any] = {"resources": {}, "num_cpus": 0, "num_gpus": 0}
        for resource, amount in resources.items():
            if resource in ("num_cpus", "num_gpus", "memory"):
                options[resource] = amount
            else:
                options["resources"][resource] = amount
        if selector:
            options["label_selector"] = dict(selector)
        actor = (
            ray.remote(SlotActor)
            .options(
                name=name,
                namespace=self._cluster.namespace,
                lifetime="detached",
                get_if_exists=True,
                max_restarts=0,
                max_concurrency=_CALLS_AT_ONCE,
                **options,
            )
            .remote(placement)
        )
        return _Found(actor, resources, placement, is_new=True)


@dataclass(frozen=True, slots=True)
class _Found:
    """A slot's actor. ``resources`` and ``placement``: of one that would be made now."""

    actor: Any
    resources: Mapping[str, float]
    placement: str
    is_new: bool


def _in_thread(work: Callable[..., T], *arguments: object) -> "asyncio.Future[T]":
    """Of its own: a cluster that does not answer holds up neither the loop's threads nor the end of the process."""
    done: Future[T] = Future()

    def run() -> None:
        if done.set_running_or_notify_cancel():  # from here on it can't be cancelled
            try:
                done.set_result(work(*arguments))
            except BaseException as error:
                done.set_exception(error)

    threading.Thread(target=run, name="ray-call", daemon=True).start()
    return asyncio.wrap_future(done)


def _ray() -> Any:
    """Raises :class:`RayMissing`."""
    try:
        import ray
    except ImportError as error:
        raise RayMissing(f"Ray cannot be imported ({error}); pip install 'safelight[ray]' brings it") from None
    return ray


async def _either(work: Coroutine[Any, Any, T], *others: Coroutine[Any, Any, object]) -> T | None:
    """What ``work`` returns, or ``None`` if one of the others ends first."""
    task = asyncio.ensure_future(work)
    tasks = [task, *(asyncio.ensure_future(other) for other in others)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _keep_signal(number: signal.Signals) -> None:
    """Ray's core puts a handler before this process's own, which prints a stack as if that were an error."""
    if threading.current_thread() is threading.main_thread() and (handler := signal.getsignal(number)) is not None:
        signal.signal(number, handler)


def _selector(labels: frozenset[Pool], pools: frozenset[Pool]) -> Mapping[str, str]:
    """Nodes of all of a slot's pools; and a slot of none keeps off the nodes of those that there are."""
    if labels:
        return {f"{POOL_LABEL}{label}": YES for label in sorted(labels)}
    return {f"{POOL_LABEL}{pool}": f"!{YES}" for pool in sorted(pools)}


def _slot_resources(cluster: Mapping[str, float]) -> Mapping[str, float]:
    return {"num_gpus": 1} if cluster.get("GPU") else {SLOT_RESOURCE: 1}


def _first_line(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(cause := getattr(error, "cause", None), BaseException):  # what an actor's method raised
        error = cause
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__
