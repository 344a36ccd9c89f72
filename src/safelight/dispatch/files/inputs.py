"""The input files of a prompt as its engine finds them: under the names that the prompt uses, with readable paths.

An engine must not read the store or the cache of files, because they hold the files of other users too. The files of
its job are linked into an *input folder*, which the server makes for one attempt or one validation.
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
from safelight.core.backoff import Retrier
from safelight.core.digest import Digest
from safelight.wire.messages import FileRef

_MODE = 0o755
"""Of an input folder: the folders above it decide which account can reach it."""

_DOWNLOADS = 4
"""Concurrent downloads for one job."""


class Inputs:
    def __init__(self, files: FileCache, retry: Retrier) -> None:
        self._files = files
        self._retry = retry

    async def fetch(
        self, files: Mapping[str, Asset | FileRef], inputs: ExitStack, *, folder: Path, retry: bool = True
    ) -> dict[str, FileRef]:
        """The files linked into ``folder``, after fetching those that are not on this machine. The folder is removed
        when ``inputs`` is closed. A file whose bytes are gone is left out. ``retry``: whether to wait for a store
        that is unreachable."""
        refs: dict[str, FileRef] = {}
        free = asyncio.Semaphore(_DOWNLOADS)
        inputs.callback(_remove, folder)

        async def fetch(name: str, wanted: Asset | FileRef) -> None:
            async def fetch_one() -> None:
                file = await self._files.pin(Digest(wanted.digest))
                inputs.callback(file.unpin)
                inputs.callback(_remove, folder)  # again: `inputs` may have been closed meanwhile
                path = await asyncio.to_thread(_link_or_copy, file.path, folder)
                refs[name] = FileRef(wanted.digest, wanted.size, wanted.mime_type, str(path))

            async with free:
                try:
                    if retry:
                        await self._retry.run(fetch_one, what=f"fetch the input file {name}")
                    else:
                        await fetch_one()
                except BlobMissing:
                    return

        try:
            async with asyncio.TaskGroup() as group:
                for name, wanted in files.items():
                    group.create_task(fetch(name, wanted))
        except ExceptionGroup as errors:  # one error is enough
            raise errors.exceptions[0] from None
        return refs


def _link(path: Path, folder: Path) -> Path:
    """Raises :class:`OSError` if the two are on different disks."""
    folder.mkdir(mode=_MODE, parents=True, exist_ok=True)
    folder.chmod(_MODE)
    link = folder / path.name
    with suppress(FileExistsError):
        os.link(path, link)
    return link


def _link_or_copy(path: Path, folder: Path) -> Path:
    try:
        return _link(path, folder)
    except FileNotFoundError as error:
        raise BlobMissing(f"the bytes of {path.name} are gone") from error
    except OSError:
        copy = folder / path.name
        part = folder / f".{uuid.uuid4().hex}"
        shutil.copyfile(path, part)
        part.chmod(0o444)
        part.replace(copy)
        return copy


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
