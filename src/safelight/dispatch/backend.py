"""The port behind which engines run: local processes, a cluster, or a fake in tests.

Law: for each slot, messages arrive at the listener in the order in which the engine sent them, on the event loop's
thread. ``engine_lost`` comes once per engine, after its last message; then the backend starts a fresh engine on the
slot, which begins with ``engine_ready``. ``send`` to a slot without a ready engine is dropped. A drained slot gets no
fresh engine until it is resumed.

Where engines outlive their server (``detached_s``), a slot may begin with ``engine_reattached`` instead of
``engine_ready``: its engine works on an attempt that another server sent. The messages since that server left follow.
Such an engine gets no job: after its attempt it is lost, before the listener could send one, and a fresh one follows.
"""

from collections.abc import Collection, Sequence
from typing import Protocol

from safelight.core.worker import SlotId
from safelight.dispatch.journal import Journal
from safelight.wire.messages import Ready, ToEngine, ToServer


class EngineListener(Protocol):
    """Receives what engines send. Its methods must not block."""

    def engine_ready(self, slot: SlotId, ready: Ready) -> None: ...

    def engine_message(self, slot: SlotId, message: ToServer) -> None: ...

    def engine_lost(self, slot: SlotId, reason: str) -> None: ...


class Listener(EngineListener, Protocol):
    """A listener that also accepts engines which outlived another server."""

    def engine_reattached(self, slot: SlotId, ready: Ready, journal: Journal) -> None: ...


class EngineHost(Protocol):
    """Keeps an engine running on one slot: a fresh one follows each that ends, unless the slot is drained."""

    @property
    def slot(self) -> SlotId: ...

    def start(self, listener: EngineListener) -> None: ...

    def send(self, message: ToEngine) -> None: ...

    def kill(self, reason: str) -> None: ...

    def drain(self, reason: str) -> None: ...

    def resume(self) -> None: ...

    async def stop(self) -> None: ...


class Backend(Protocol):
    @property
    def slots(self) -> Sequence[SlotId]: ...

    @property
    def detached_s(self) -> float:
        """Longest time in seconds for which an engine keeps running without its server, so that another server can
        reattach to it; 0 where engines end with their server."""
        ...

    @property
    def copies_files(self) -> bool:
        """Whether files reach the engines, and outputs reach the store, without a folder shared with the server."""
        ...

    async def start(self, listener: Listener) -> None:
        """Start an engine on every slot. Returns without waiting for ``engine_ready`` or ``engine_reattached``."""
        ...

    def send(self, slot: SlotId, message: ToEngine) -> None: ...

    def kill(self, slot: SlotId, reason: str) -> None:
        """End the slot's engine and all its children immediately; ``engine_lost`` with that reason follows."""
        ...

    def drain(self, slot: SlotId, reason: str) -> None:
        """:meth:`kill`, and leave the slot's device free."""
        ...

    def resume(self, slot: SlotId) -> None:
        """Start an engine on a drained slot."""
        ...

    async def stop(self, *, detach: Collection[SlotId] = ()) -> None:
        """End all engines except those of ``detach``, to which another server may reattach. After this returns, the
        listener is not called. Where ``detached_s`` is 0, all engines end."""
        ...
