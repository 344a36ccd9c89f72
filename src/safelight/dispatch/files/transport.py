"""How the files of a job come to its engine, and how what it makes comes back: over folders that the server and the
engine share, or carried by the machine of the engine, between its own disk and the store (``porter.py``)."""

import asyncio
import shutil
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

from safelight.blobs.cache import FileCache
from safelight.blobs.store import BlobMissing, BlobStore
from safelight.core.asset import Asset
from safelight.core.clock import Clock
from safelight.core.digest import Digest, parse_sha256
from safelight.core.errors import Invalid, SafelightError
from safelight.core.worker import SlotId
from safelight.dispatch.files.inputs import Inputs
from safelight.dispatch.files.outputs import OutputFiles, new_file
from safelight.dispatch.files.staging import Staging
from safelight.sandbox.rules import Account
from safelight.services.asset import NewFile
from safelight.services.patience import Patience
from safelight.wire.messages import FileRef, SavedFile

SOON_S = 5.0
"""How long a submit waits for files that are elsewhere; then the nodes judge when the job runs."""


class FileTransport(Protocol):
    """``staging`` of an attempt; ``None`` for a question."""

    def at_hand(
        self, files: Mapping[str, Asset], held: ExitStack, *, slot: SlotId, staging: Path | None
    ) -> dict[str, FileRef] | None:
        """What the slot's engine needs to know of its files; ``None`` where one must be fetched first. They stay until
        ``held`` is closed."""
        ...

    async def fetch(
        self,
        files: Mapping[str, Asset],
        held: ExitStack,
        *,
        slot: SlotId,
        staging: Path | None,
        is_patient: bool = True,
    ) -> dict[str, FileRef]:
        """Files that stay until ``held`` is closed. One whose bytes are gone is left out."""
        ...

    async def keep(
        self, saved: Sequence[SavedFile], *, staging: Path | None, is_wanted: Callable[[], bool], may_be_kept: bool
    ) -> list[NewFile]:
        """See to it that the bytes of what an engine saved are in the store. ``may_be_kept``: by an earlier server.
        Raises :class:`Invalid` for a claim that cannot be true."""
        ...

    def begin(self, slot: SlotId) -> Path | None:
        """A folder for the outputs of an attempt; ``None`` where the engine's machine makes one."""
        ...

    def resume(self, staging: str) -> Path | None:
        """The folder of an attempt that an earlier server began. Raises :class:`Invalid` for what is none."""
        ...

    async def end(self, staging: Path | None) -> None:
        """The attempt has ended by itself."""
        ...

    async def give_up(self, staging: Path | None) -> None:
        """The attempt was lost: should something of it still run, it may not write where another attempt does."""
        ...

    def look(self) -> None:
        """What an earlier server has left. Blocks; comes before all else."""
        ...

    def sweep(self) -> None:
        """Remove what was left and not resumed. Blocks."""
        ...


async def soon(
    transport: FileTransport, files: Mapping[str, Asset], held: ExitStack, *, slot: SlotId
) -> dict[str, FileRef] | None:
    """The files for a question that somebody waits for; ``None`` where they cannot be had in time."""
    refs = transport.at_hand(files, held, slot=slot, staging=None)
    if refs is None:
        fetching = transport.fetch(files, held, slot=slot, staging=None, is_patient=False)
        with suppress(TimeoutError, SafelightError):
            refs = await asyncio.wait_for(fetching, SOON_S)
    return refs


class SharedFiles:
    """Input files are linked from where the store shows them, or from the cache, into rooms; outputs lie in staging
    folders, until the store has them."""

    def __init__(
        self,
        *,
        files: FileCache,
        blobs: BlobStore,
        staging: Path,
        clock: Clock,
        slots: Collection[SlotId] = (),
        account: Account | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """``account``: as whom the engines write, where it is not as the server."""
        patience = Patience(clock, sleep)
        self._staging = Staging(staging, slots=slots, account=account)
        self._rooms = input_dirs_of(staging)
        self._old_rooms: set[Path] = set()
        self._inputs, self._outputs = Inputs(files, patience), OutputFiles(blobs, patience)
        self.begin = self._staging.make

    def at_hand(
        self, files: Mapping[str, Asset], held: ExitStack, *, slot: SlotId, staging: Path | None
    ) -> dict[str, FileRef] | None:
        if not files:
            return {}
        return self._inputs.at_hand(files, held, room=self._room(slot, staging))

    async def fetch(
        self,
        files: Mapping[str, Asset],
        held: ExitStack,
        *,
        slot: SlotId,
        staging: Path | None,
        is_patient: bool = True,
    ) -> dict[str, FileRef]:
        return await self._inputs.fetch(files, held, room=self._room(slot, staging), is_patient=is_patient)

    async def keep(
        self, saved: Sequence[SavedFile], *, staging: Path | None, is_wanted: Callable[[], bool], may_be_kept: bool
    ) -> list[NewFile]:
        assert staging is not None
        return await self._outputs.keep(saved, staging=staging, is_wanted=is_wanted, may_be_kept=may_be_kept)

    def resume(self, staging: str) -> Path | None:
        path = self._staging.take_over(Path(staging))
        self._old_rooms = {room for room in self._old_rooms if room.name != path.name}
        return path

    async def end(self, staging: Path | None) -> None:
        if staging is not None:
            await self._staging.give_back(staging)

    async def give_up(self, staging: Path | None) -> None:
        if staging is not None:
            await self._staging.remove(staging)

    def look(self) -> None:
        self._staging.look()
        self._old_rooms = set(self._rooms.glob("*/*"))

    def sweep(self) -> None:
        self._staging.sweep()
        while self._old_rooms:
            shutil.rmtree(self._old_rooms.pop(), ignore_errors=True)

    def _room(self, slot: SlotId, staging: Path | None) -> Path:
        """For an attempt by the name of its staging folder, so that a server which resumes it finds it."""
        return self._rooms / slot / (uuid.uuid4().hex if staging is None else staging.name)


def input_dirs_of(staging: Path) -> Path:
    """Where the input files of attempts lie, in a folder for each slot that its engines may read."""
    return staging.with_name("inputs")


class Confirming(Protocol):
    """Of a store into which others put, what says that they have."""

    async def confirm(self, digest: Digest, *, size: int) -> None: ...


class CopiedFiles:
    """An engine's machine brings what is named by its digest, and has stored what it tells of."""

    def __init__(
        self, store: Confirming, *, clock: Clock, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._store = store
        self._patience = Patience(clock, sleep)

    def at_hand(
        self, files: Mapping[str, Asset], held: ExitStack, *, slot: SlotId, staging: Path | None
    ) -> dict[str, FileRef] | None:
        return {name: FileRef(asset.digest, asset.size, asset.mime_type, "") for name, asset in files.items()}

    async def fetch(
        self,
        files: Mapping[str, Asset],
        held: ExitStack,
        *,
        slot: SlotId,
        staging: Path | None,
        is_patient: bool = True,
    ) -> dict[str, FileRef]:
        return self.at_hand(files, held, slot=slot, staging=staging) or {}

    async def keep(
        self, saved: Sequence[SavedFile], *, staging: Path | None, is_wanted: Callable[[], bool], may_be_kept: bool
    ) -> list[NewFile]:
        async def confirm(file: SavedFile) -> NewFile:
            new = replace(new_file(file), sha256=parse_sha256(file.sha256))
            try:
                await self._patience.with_(
                    partial(self._store.confirm, new.digest, size=new.size),
                    what="an output could not be looked for",
                    is_wanted=is_wanted,
                )
            except BlobMissing as error:
                raise Invalid(f"{file.filename!r} was not stored: {error}") from error
            return new

        return await asyncio.gather(*map(confirm, saved))

    def begin(self, slot: SlotId) -> Path | None:
        return None

    def resume(self, staging: str) -> Path | None:
        return None

    async def end(self, staging: Path | None) -> None:
        pass

    async def give_up(self, staging: Path | None) -> None:
        pass

    def look(self) -> None:
        pass

    def sweep(self) -> None:
        pass
