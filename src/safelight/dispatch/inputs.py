"""The files of a prompt as an engine finds them: by the names that the prompt uses, with paths that it may read."""

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack

from safelight.blobs.cache import FileCache
from safelight.blobs.store import BlobMissing
from safelight.core.asset import Asset
from safelight.core.digest import Digest
from safelight.services.patience import Patience
from safelight.wire.messages import FileRef

_AT_ONCE = 4
"""Downloads for one job."""


class Inputs:
    def __init__(self, files: FileCache, patience: Patience) -> None:
        self._files = files
        self._patience = patience

    def at_hand(self, files: Mapping[str, Asset]) -> dict[str, FileRef] | None:
        """What the store shows as files; ``None`` where one must be fetched."""
        refs = {}
        for name, asset in files.items():
            if (path := self._files.local_path(asset.digest)) is None:
                return None
            refs[name] = FileRef(asset.digest, asset.size, asset.mime_type, str(path))
        return refs

    async def fetch(
        self, files: Mapping[str, Asset | FileRef], held: ExitStack, *, is_patient: bool = True
    ) -> dict[str, FileRef]:
        """Files that stay until ``held`` is closed. One whose bytes are gone is left out."""
        refs: dict[str, FileRef] = {}
        free = asyncio.Semaphore(_AT_ONCE)

        async def fetch(name: str, wanted: Asset | FileRef) -> None:
            async def hold() -> None:
                file = await self._files.hold(Digest(wanted.digest))
                held.callback(file.let_go)
                refs[name] = FileRef(wanted.digest, wanted.size, wanted.mime_type, str(file.path))

            async with free:
                try:
                    if is_patient:
                        await self._patience.with_(hold, what=f"the input file {name} could not be fetched")
                    else:
                        await hold()
                except BlobMissing:
                    return

        try:
            async with asyncio.TaskGroup() as group:
                for name, wanted in files.items():
                    group.create_task(fetch(name, wanted))
        except ExceptionGroup as errors:  # the first says it all
            raise errors.exceptions[0] from None
        return refs
