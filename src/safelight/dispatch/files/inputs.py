"""The files of a prompt as an engine finds them: by the names that the prompt uses, with paths that it may read.

An engine may read nothing of the store, nor of the cache of files, since what other users own lies there too. The
files of its job are linked into a *room*, a folder that the server makes for one attempt or one question.
"""

import asyncio
import os
import shutil
import uuid
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

from safelight.blobs.cache import FileCache
from safelight.blobs.store import BlobMissing
from safelight.core.asset import Asset
from safelight.core.digest import Digest
from safelight.services.patience import Patience
from safelight.wire.messages import FileRef

_FOR_ENGINES = 0o755
"""Which account reaches a room is decided by the folders above it."""

_AT_ONCE = 4
"""Downloads for one job."""


class Inputs:
    def __init__(self, files: FileCache, patience: Patience) -> None:
        self._files = files
        self._patience = patience

    def at_hand(self, files: Mapping[str, Asset], held: ExitStack, *, room: Path) -> dict[str, FileRef] | None:
        """What the store shows as files, linked into ``room``; ``None`` where one must be fetched or copied. The room
        goes when ``held`` is closed."""
        refs = {}
        held.callback(_remove, room)
        for name, asset in files.items():
            if (path := self._files.local_path(asset.digest)) is None:
                return None
            try:
                linked = _link(path, room)
            except FileNotFoundError:
                linked = path  # its bytes are gone: it is for the node to say so
            except OSError:
                return None
            refs[name] = FileRef(asset.digest, asset.size, asset.mime_type, str(linked))
        return refs

    async def fetch(
        self, files: Mapping[str, Asset | FileRef], held: ExitStack, *, room: Path, is_patient: bool = True
    ) -> dict[str, FileRef]:
        """Files that stay in ``room`` until ``held`` is closed. One whose bytes are gone is left out."""
        refs: dict[str, FileRef] = {}
        free = asyncio.Semaphore(_AT_ONCE)
        held.callback(_remove, room)

        async def fetch(name: str, wanted: Asset | FileRef) -> None:
            async def hold() -> None:
                file = await self._files.hold(Digest(wanted.digest))
                held.callback(file.let_go)
                held.callback(_remove, room)  # once more: `held` may have been closed meanwhile
                path = await asyncio.to_thread(_link_or_copy, file.path, room)
                refs[name] = FileRef(wanted.digest, wanted.size, wanted.mime_type, str(path))

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


def _link(path: Path, room: Path) -> Path:
    """Raises :class:`OSError` where the two lie on different disks."""
    room.mkdir(mode=_FOR_ENGINES, parents=True, exist_ok=True)
    room.chmod(_FOR_ENGINES)
    link = room / path.name
    with suppress(FileExistsError):
        os.link(path, link)
    return link


def _link_or_copy(path: Path, room: Path) -> Path:
    try:
        return _link(path, room)
    except FileNotFoundError as error:
        raise BlobMissing(f"the bytes of {path.name} are gone") from error
    except OSError:
        copy = room / path.name
        part = room / f".{uuid.uuid4().hex}"
        shutil.copyfile(path, part)
        part.chmod(0o444)
        part.replace(copy)
        return copy


def _remove(room: Path) -> None:
    shutil.rmtree(room, ignore_errors=True)
