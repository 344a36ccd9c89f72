"""Engines as child processes of the server, one per slot."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from functools import partial

from safelight.core.worker import SlotId
from safelight.dispatch.backend import Listener
from safelight.dispatch.backends.commands import EngineCommand, engine_command
from safelight.dispatch.backends.process import scrub
from safelight.dispatch.backends.slot_dirs import SlotDirs
from safelight.dispatch.backends.supervisor import Supervisor
from safelight.wire.config import EngineConfig
from safelight.wire.messages import ToEngine


class LocalBackend:
    """The :class:`~safelight.dispatch.backend.Backend` of one machine.

    ``engines``: the configuration of each slot. ``environment``: the server's; engines get the part that
    :func:`~safelight.dispatch.backends.process.scrub` keeps, and the variables that point to their ``slot_dirs``.
    """

    def __init__(
        self,
        engines: Mapping[SlotId, EngineConfig],
        *,
        environment: Mapping[str, str],
        command: EngineCommand = engine_command,
        rss_limit_bytes: int = 0,
        slot_dirs: SlotDirs | None = None,
    ) -> None:
        self._slot_dirs = slot_dirs
        kept = scrub(environment)
        self._supervisors = {
            slot: Supervisor(
                slot,
                command=command(config),
                environment=kept if slot_dirs is None else slot_dirs.prepare(slot, kept),
                config=config,
                rss_limit_bytes=rss_limit_bytes,
                prepare=partial(slot_dirs.renew, slot) if slot_dirs is not None else lambda: None,
            )
            for slot, config in engines.items()
        }

    @property
    def slots(self) -> Sequence[SlotId]:
        return tuple(self._supervisors)

    @property
    def detached_s(self) -> float:
        return 0.0

    @property
    def copies_files(self) -> bool:
        return False

    async def start(self, listener: Listener) -> None:
        for supervisor in self._supervisors.values():
            supervisor.start(listener)

    def send(self, slot: SlotId, message: ToEngine) -> None:
        self._supervisors[slot].send(message)

    def kill(self, slot: SlotId, reason: str) -> None:
        self._supervisors[slot].kill(reason)

    def drain(self, slot: SlotId, reason: str) -> None:
        self._supervisors[slot].drain(reason)

    def resume(self, slot: SlotId) -> None:
        self._supervisors[slot].resume()

    async def stop(self, *, detach: Collection[SlotId] = ()) -> None:
        await asyncio.gather(*(s.stop() for s in self._supervisors.values()))
        if self._slot_dirs is not None:
            await asyncio.to_thread(self._slot_dirs.clear)
