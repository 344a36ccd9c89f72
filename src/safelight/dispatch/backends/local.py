"""Engines as child processes of the server, one per slot."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from functools import partial

from safelight.core.worker import SlotId
from safelight.dispatch.backend import Listener
from safelight.dispatch.backends.commands import EngineCommand, engine_command
from safelight.dispatch.backends.process import scrub
from safelight.dispatch.backends.slot_dirs import SlotDirs
from safelight.dispatch.backends.supervisor import EnginePlace, Supervisor
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
        spares: Mapping[SlotId, EngineConfig] | None = None,
    ) -> None:
        """``spares``: the configuration of the spare engine of each slot that has one, with folders of its own (those
        of :func:`spare_of`)."""
        self._slot_dirs = slot_dirs
        kept = scrub(environment)

        def place(own: SlotId, config: EngineConfig) -> EnginePlace:
            if slot_dirs is None:
                return EnginePlace(config, kept)
            return EnginePlace(config, slot_dirs.prepare(own, kept), partial(slot_dirs.renew, own))

        waiting = {slot: place(spare_of(slot), config) for slot, config in (spares or {}).items()}
        self._supervisors = {
            slot: Supervisor(
                slot,
                command=command(config),
                place=place(slot, config),
                spare_place=waiting.get(slot),
                rss_limit_bytes=rss_limit_bytes,
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


def spare_of(slot: SlotId) -> SlotId:
    """The name by which the folders of a slot's second engine are found."""
    return SlotId(f"{slot}.spare")
