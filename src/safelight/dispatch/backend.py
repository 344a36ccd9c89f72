"""The port behind which engines run: local processes, a cluster, or a fake in tests.

Law: for each slot, messages arrive at the listener in the order in which the engine sent them, on the event loop's
thread; ``engine_lost`` comes once per engine, after its last message; after it the backend starts a fresh engine on
the slot, whose first word is ``engine_ready``. ``send`` to a slot without a ready engine is dropped. A slot that is
retired gets no fresh engine until it is restored.

Where engines outlive their server (``detached_s``), the first word of a slot may be ``engine_reattached`` in place of
``engine_ready``: its engine works on an attempt that another server sent. Then comes what was said since that one went.
Such an engine gets no job: after its attempt it is lost, before the listener could send one, and a fresh one follows.
"""

from collections.abc import Collection, Sequence
from typing import Protocol

from safelight.core.worker import SlotId
from safelight.dispatch.journal import Journal
from safelight.wire.messages import Ready, ToEngine, ToServer


class EngineListener(Protocol):
    """Who hears of engines; the calls must return at once."""

    def engine_ready(self, slot: SlotId, ready: Ready) -> None: ...

    def engine_message(self, slot: SlotId, message: ToServer) -> None: ...

    def engine_lost(self, slot: SlotId, reason: str) -> None: ...


class Listener(EngineListener, Protocol):
    """Who hears of engines that may have outlived another server."""

    def engine_reattached(self, slot: SlotId, ready: Ready, journal: Journal) -> None: ...


class Backend(Protocol):
    @property
    def slots(self) -> Sequence[SlotId]: ...

    @property
    def detached_s(self) -> float:
        """How long an engine goes on at most without its server, in which another may resume what it works on; 0 where
        it ends with it."""
        ...

    @property
    def copies_files(self) -> bool:
        """Whether files come to the engines, and their outputs into the store, without a folder that the server shares
        with them."""
        ...

    async def start(self, listener: Listener) -> None:
        """Start an engine on every slot; returns at once, ``engine_ready`` or ``engine_reattached`` follows."""
        ...

    def send(self, slot: SlotId, message: ToEngine) -> None: ...

    def kill(self, slot: SlotId, reason: str) -> None:
        """End the slot's engine and all its children at once; ``engine_lost`` with that reason follows."""
        ...

    def retire(self, slot: SlotId, reason: str) -> None:
        """:meth:`kill`, and leave the slot's device to others."""
        ...

    def restore(self, slot: SlotId) -> None:
        """Start an engine on a retired slot."""
        ...

    async def stop(self, *, leaving: Collection[SlotId] = ()) -> None:
        """End all engines but those of ``leaving``, which another server is to resume; nothing is said to the listener
        after this returns. Without ``detached_s`` all end."""
        ...
