"""Files that the engine's machine copies: it fetches inputs by their digest, and has stored the outputs it reports."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

from safelight.blobs.store import STORE_RETRY, BlobMissing
from safelight.core.asset import Asset
from safelight.core.backoff import Retrier
from safelight.core.clock import Clock
from safelight.core.digest import Digest, parse_sha256
from safelight.core.errors import Invalid
from safelight.core.worker import SlotId
from safelight.dispatch.files.outputs import new_file
from safelight.services.named_files import NewFile
from safelight.wire.messages import FileRef, SavedFile


class Confirming(Protocol):
    """A store that can confirm blobs which others have put there."""

    async def confirm(self, digest: Digest, *, size: int) -> None: ...


class CopiedFiles:
    """The :class:`~safelight.dispatch.files.transport.FileTransport` of engines whose machines copy files."""

    def __init__(
        self, store: Confirming, *, clock: Clock, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._store = store
        self._retry = Retrier(STORE_RETRY, clock, sleep)

    async def fetch(
        self,
        files: Mapping[str, Asset],
        inputs: ExitStack,
        *,
        slot: SlotId,
        staging: Path | None,
        retry: bool = True,
    ) -> dict[str, FileRef]:
        return {name: FileRef(asset.digest, asset.size, asset.mime_type, "") for name, asset in files.items()}

    async def store(
        self, saved: Sequence[SavedFile], *, staging: Path | None, is_wanted: Callable[[], bool], may_be_stored: bool
    ) -> list[NewFile]:
        async def confirm(file: SavedFile) -> NewFile:
            new = replace(new_file(file), sha256=parse_sha256(file.sha256))
            try:
                await self._retry.run(
                    partial(self._store.confirm, new.digest, size=new.size),
                    what="look up an output in the store",
                    is_wanted=is_wanted,
                )
            except BlobMissing as error:
                raise Invalid(f"{file.filename!r} was not stored: {error}") from error
            return new

        return await asyncio.gather(*map(confirm, saved))

    async def begin(self, slot: SlotId) -> Path | None:
        return None

    def reattach(self, staging: str) -> Path | None:
        return None

    async def end(self, staging: Path | None) -> None:
        pass

    async def discard(self, staging: Path | None) -> None:
        pass

    def scan(self) -> None:
        pass

    def sweep(self) -> None:
        pass
