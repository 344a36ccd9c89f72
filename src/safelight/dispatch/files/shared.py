"""Files in folders that the server and its engines share.

Input files are linked from the store, or from the cache, into a folder of the attempt. Outputs are written to staging
folders, from which the server moves them into the store.
"""

import asyncio
import shutil
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from safelight.blobs.cache import FileCache
from safelight.blobs.store import STORE_RETRY, BlobStore
from safelight.core.asset import Asset
from safelight.core.backoff import Retrier
from safelight.core.clock import Clock
from safelight.core.worker import SlotId
from safelight.dispatch.files.inputs import Inputs
from safelight.dispatch.files.outputs import OutputFiles
from safelight.dispatch.files.staging import Staging
from safelight.sandbox.rules import Account
from safelight.services.named_files import NewFile
from safelight.wire.messages import FileRef, SavedFile


class SharedFiles:
    """The :class:`~safelight.dispatch.files.transport.FileTransport` of engines that share folders with the server.

    Mutable: the folders that an earlier server left.
    """

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
        """``account``: the account that the engines run as, if not the server's."""
        retry = Retrier(STORE_RETRY, clock, sleep)
        self._staging = Staging(staging, clock, slots=slots, account=account)
        self._input_dirs = input_dirs_of(staging)
        self._old_input_dirs: set[Path] = set()
        self._inputs, self._outputs = Inputs(files, retry), OutputFiles(blobs, retry)

    async def fetch(
        self,
        files: Mapping[str, Asset],
        inputs: ExitStack,
        *,
        slot: SlotId,
        staging: Path | None,
        retry: bool = True,
    ) -> dict[str, FileRef]:
        if not files:
            return {}
        return await self._inputs.fetch(files, inputs, folder=self._input_dir(slot, staging), retry=retry)

    async def store(
        self, saved: Sequence[SavedFile], *, staging: Path | None, is_wanted: Callable[[], bool], may_be_stored: bool
    ) -> list[NewFile]:
        assert staging is not None
        return await self._outputs.store(saved, staging=staging, is_wanted=is_wanted, may_be_stored=may_be_stored)

    async def begin(self, slot: SlotId) -> Path | None:
        return await self._staging.make(slot)

    def reattach(self, staging: str) -> Path | None:
        path = self._staging.take_over(Path(staging))
        self._old_input_dirs = {folder for folder in self._old_input_dirs if folder.name != path.name}
        return path

    async def end(self, staging: Path | None) -> None:
        if staging is not None:
            await self._staging.give_back(staging)

    async def discard(self, staging: Path | None) -> None:
        if staging is not None:
            await self._staging.remove(staging)

    def scan(self) -> None:
        self._staging.scan()
        self._old_input_dirs = set(self._input_dirs.glob("*/*"))

    def sweep(self) -> None:
        self._staging.sweep()
        while self._old_input_dirs:
            shutil.rmtree(self._old_input_dirs.pop(), ignore_errors=True)

    def _input_dir(self, slot: SlotId, staging: Path | None) -> Path:
        """Named like the staging folder of the attempt, so that a server which reattaches to it finds the folder."""
        return self._input_dirs / slot / (uuid.uuid4().hex if staging is None else staging.name)


def input_dirs_of(staging: Path) -> Path:
    """The parent of input folders: one folder for each slot, which its engines may read."""
    return staging.with_name("inputs")
