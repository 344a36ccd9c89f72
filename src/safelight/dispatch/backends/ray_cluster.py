"""A Ray cluster, as the slots of ``ray.py`` use it: the connection, the actor of each slot, and where an actor goes.

The only module that imports Ray, and only when a backend starts.
"""

import asyncio
import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from safelight.core.errors import SafelightError
from safelight.core.pool import Pool
from safelight.core.worker import SlotId
from safelight.dispatch.backends.agent import SlotAgent
from safelight.dispatch.backends.agent_messages import Token
from safelight.dispatch.backends.supervisor import pause_s
from safelight.settings import process_environment
from safelight.wire.protocol import PROTOCOL

log = logging.getLogger(__name__)

T = TypeVar("T")

POOL_LABEL = "safelight-pool/"
"""A node with the label ``safelight-pool/large=yes`` serves slots of the pool ``large``, and no others."""
YES = "yes"
SLOT_RESOURCE = "safelight-slot"
"""The custom resource of a node without GPUs that ``safelight worker`` starts: the number of its slots."""
_OFFERED = {"num_gpus": "GPU", "num_cpus": "CPU"}
"""The cluster's name for the resource of an option."""
_CHECK_S = 5.0
"""Between two checks of what the cluster offers to a slot without a place."""
_CONCURRENT_CALLS = 16
_WARN_AFTER_S = 10.0
"""A cluster that takes longer to answer is reported in the log."""
SHUTDOWN_S = 15.0
"""Time for an engine to end, before its actor is ended anyway."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where the actors run. ``resources``: those of each actor; empty: a GPU if the cluster has any at that time, else
    a ``safelight-slot``; never just a CPU."""

    address: str
    namespace: str = "safelight"
    resources: Mapping[str, float] | None = None


class RayMissing(SafelightError):
    """The backend is Ray, which is not installed."""

    code = "ray_missing"


class SlotActor:
    """The class that Ray runs: it passes calls on to the agent. Its process is the slot's alone, and ends with it."""

    def __init__(self, placement: str) -> None:
        logging.basicConfig(level=logging.INFO)  # to the files of this process in Ray's folder of logs
        self._agent = SlotAgent(process_environment(), end=lambda: os._exit(0), placement=placement)

    async def is_placed(self) -> bool:
        """Answers as soon as the actor has a process."""
        return True

    async def attach(self, token: Token, protocol: int, spec: bytes, reattach: bool) -> bytes:
        return await self._agent.attach(token, protocol, spec, reattach=reattach)

    async def poll(self, token: Token, after: int) -> bytes | None:
        return await self._agent.poll(token, after)

    async def command(self, token: Token, commands: bytes) -> bool:
        return await self._agent.command(token, commands)

    async def shutdown(self, token: Token) -> bool:
        return await self._agent.shutdown(token)

    async def detach(self, token: Token) -> bool:
        return await self._agent.detach(token)


class Connection:
    """This process's connection to the cluster. Mutable."""

    def __init__(self, cluster: Cluster, server: str) -> None:
        self._cluster = cluster
        self._server = server
        self._is_ours = False
        self._task: asyncio.Task[None] | None = None
        self.is_open = asyncio.Event()

    def open(self) -> None:
        """Connect, and keep trying until there is a cluster."""
        self._task = asyncio.get_running_loop().create_task(self._open())

    async def find(self, slot: SlotId, selector: Mapping[str, str]) -> "Found":
        """The slot's actor: the existing one, else a new one, which may still wait for its place."""
        making = in_thread(self._find, slot, selector)
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            with contextlib.suppress(Exception):
                await self.end((await asyncio.wait_for(making, SHUTDOWN_S)).actor)
            raise

    async def outdated(self, found: "Found") -> None:
        """Return when an actor that still waits for its place would be placed elsewhere now. Warn once if no current
        node offers the resources that it waits for."""
        has_warned = False
        while True:
            await asyncio.sleep(_CHECK_S)
            offered = await in_thread(lambda: import_ray().cluster_resources())
            if not self._cluster.resources and slot_resources(offered) != found.resources:
                return
            missing = [name for name in found.resources if not offered.get(_OFFERED.get(name, name))]
            if missing and not has_warned:
                has_warned = True
                log.warning(
                    "no node of the cluster offers %s, which a worker takes; start nodes with `safelight worker`, or "
                    "set ray_resources to what the nodes have",
                    ", ".join(missing),
                )

    async def end(self, actor: Any) -> None:
        await in_thread(lambda: import_ray().kill(actor, no_restart=True))

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._is_ours:
            self._is_ours = False
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(in_thread(import_ray().shutdown), SHUTDOWN_S)

    async def _open(self) -> None:
        failures = 0
        while not self.is_open.is_set():
            try:
                connecting = in_thread(self._connect)
                await asyncio.wait((connecting,), timeout=_WARN_AFTER_S)
                if not connecting.done():
                    log.warning("the Ray cluster at %s does not answer yet", self._cluster.address)
                await connecting
                keep_signal(signal.SIGTERM)
                self.is_open.set()
            except Exception as error:  # a boundary: whatever Ray raises, the server keeps serving and tries again
                failures += 1
                log.warning("no connection to the Ray cluster at %s: %s", self._cluster.address, first_line(error))
                await asyncio.sleep(pause_s(failures + 1))

    def _connect(self) -> None:
        ray = import_ray()
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

    def _find(self, slot: SlotId, selector: Mapping[str, str]) -> "Found":
        ray = import_ray()
        name = f"{self._server}/{slot}/{PROTOCOL}"
        resources = self._cluster.resources or slot_resources(ray.cluster_resources())
        placement = f"{sorted(resources.items())} {sorted(selector.items())}"
        with contextlib.suppress(ValueError):  # there is no actor of that name
            there = ray.get_actor(name, namespace=self._cluster.namespace)
            return Found(there, resources, placement, is_new=False)
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
                max_concurrency=_CONCURRENT_CALLS,
                **options,
            )
            .remote(placement)
        )
        return Found(actor, resources, placement, is_new=True)


@dataclass(frozen=True, slots=True)
class Found:
    """A slot's actor. ``resources`` and ``placement``: those of an actor that would be made now."""

    actor: Any
    resources: Mapping[str, float]
    placement: str
    is_new: bool


def in_thread(work: Callable[..., T], *arguments: object) -> "asyncio.Future[T]":
    """Run ``work`` in a new thread: a cluster that does not answer must block neither the loop nor the exit."""
    done: Future[T] = Future()

    def run() -> None:
        if done.set_running_or_notify_cancel():  # it cannot be cancelled any more
            try:
                done.set_result(work(*arguments))
            except BaseException as error:
                done.set_exception(error)

    threading.Thread(target=run, name="ray-call", daemon=True).start()
    return asyncio.wrap_future(done)


def import_ray() -> Any:
    """Raises :class:`RayMissing`."""
    try:
        import ray
    except ImportError as error:
        raise RayMissing(f"Ray cannot be imported ({error}); install it with pip install 'safelight[ray]'") from None
    return ray


def keep_signal(number: signal.Signals) -> None:
    """Restore the signal handler: Ray's core installs one before it, which prints a stack as if there were an error."""
    if threading.current_thread() is threading.main_thread() and (handler := signal.getsignal(number)) is not None:
        signal.signal(number, handler)


def node_selector(labels: frozenset[Pool], pools: frozenset[Pool]) -> Mapping[str, str]:
    """Select nodes with the labels of all of the slot's pools. A slot without pools uses only nodes without pools."""
    if labels:
        return {f"{POOL_LABEL}{label}": YES for label in sorted(labels)}
    return {f"{POOL_LABEL}{pool}": f"!{YES}" for pool in sorted(pools)}


def slot_resources(cluster: Mapping[str, float]) -> Mapping[str, float]:
    return {"num_gpus": 1} if cluster.get("GPU") else {SLOT_RESOURCE: 1}


def first_line(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(cause := getattr(error, "cause", None), BaseException):  # the error that an actor's method raised
        error = cause
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__
