"""Taking over the files that an engine tells of. It runs other people's code: only what lies in its own staging folder
is taken, and only under names that could not lead anywhere."""

import asyncio
import stat
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from safelight.blobs.store import BlobStore
from safelight.core.asset import FileName, Folder, clean_filename, clean_subfolder
from safelight.core.digest import Digest, Sha256Digest, parse_digest
from safelight.core.errors import Invalid
from safelight.core.ids import UserId
from safelight.dispatch.attempts.names import Series
from safelight.services.asset import NewFile
from safelight.services.patience import Patience
from safelight.wire.messages import KeptFile, ReserveNames, SavedFile

_FOLDERS = {"output": Folder.OUTPUT, "temp": Folder.TEMP}


class OutputFiles:
    def __init__(self, blobs: BlobStore, patience: Patience) -> None:
        self._blobs = blobs
        self._patience = patience

    async def keep(
        self,
        saved: Sequence[SavedFile],
        *,
        staging: Path,
        is_wanted: Callable[[], bool],
        may_be_kept: bool,
    ) -> list[NewFile]:
        """Move the files into the store, and say what they become. ``may_be_kept``: by a server that went before it
        could say so. Raises :class:`Invalid` for a claim that cannot be true."""
        files = [(path_of(file, staging, may_be_gone=may_be_kept), new_file(file)) for file in saved]

        async def keep(path: Path, new: NewFile) -> NewFile:
            async def move() -> Sha256Digest:
                if may_be_kept and not await asyncio.to_thread(path.exists):
                    return await self._read_back(path, new)
                return await self._blobs.adopt(path, new.digest)

            what = "an output could not be stored"
            return replace(new, sha256=await self._patience.with_(move, what=what, is_wanted=is_wanted))

        return await asyncio.gather(*(keep(path, new) for path, new in files))

    async def _read_back(self, path: Path, new: NewFile) -> Sha256Digest:
        if await self._blobs.stat(new.digest) != new.size:
            raise Invalid(f"{str(path)!r} cannot be taken over: it is gone")
        other = sha256()
        async for chunk in self._blobs.read(new.digest):
            other.update(chunk)
        return Sha256Digest(other.hexdigest())


def series_of(owner_id: UserId, message: ReserveNames) -> Series:
    """Raises :class:`Invalid` for a place that is no output's."""
    clean_filename(f"{message.prefix}_00001_")
    if message.count < 1:
        raise Invalid(f"{message.count} names cannot be reserved")
    return Series(owner_id, _folder(message.folder), clean_subfolder(message.subfolder), message.prefix)


def kept_name(file: KeptFile) -> tuple[FileName, Digest]:
    """Raises :class:`Invalid` for a name that no output has."""
    name = FileName(_folder(file.folder), clean_subfolder(file.subfolder), clean_filename(file.filename))
    return name, parse_digest(file.digest)


def path_of(file: SavedFile, staging: Path, *, may_be_gone: bool = False) -> Path:
    """Where a saved file lies. Raises :class:`Invalid` where that is not in the job's folder, or no file;
    :class:`OSError` where the folder itself is gone."""
    path = Path(file.path)
    if not path.parent.resolve().is_relative_to(staging.resolve()):
        raise Invalid(f"{file.path!r} is not in the job's folder")
    try:
        status = path.lstat()
    except OSError as error:
        if may_be_gone and isinstance(error, FileNotFoundError):
            return path
        if not staging.is_dir():
            raise  # not the engine's word is wrong: somebody has removed the folder under it
        raise Invalid(f"{file.path!r} cannot be taken over: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode) or status.st_size != file.size:
        raise Invalid(f"{file.path!r} is not a file of {file.size} bytes")
    return path


def new_file(file: SavedFile) -> NewFile:
    """What a saved file becomes. Raises :class:`Invalid` for a name that could lead somewhere."""
    name = FileName(_folder(file.folder), clean_subfolder(file.subfolder), clean_filename(file.filename))
    return NewFile(file=name, digest=parse_digest(file.digest), size=file.size, mime_type=file.mime_type)


def _folder(name: str) -> Folder:
    if name not in _FOLDERS:
        raise Invalid(f"{name!r} is not a folder for outputs")
    return _FOLDERS[name]
