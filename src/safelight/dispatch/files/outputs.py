"""Takes over the files that an engine reports. An engine runs other people's code: only files in its own staging folder
are accepted, and only under names that cannot lead out of a folder."""

import asyncio
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from safelight.blobs.store import BlobStore
from safelight.core.asset import FileName, Folder, clean_filename, clean_subfolder
from safelight.core.backoff import Retrier
from safelight.core.digest import Digest, Sha256Digest, parse_digest
from safelight.core.errors import Invalid
from safelight.core.ids import UserId
from safelight.services.named_files import NewFile
from safelight.wire.messages import KeptFile, ReserveNames, SavedFile

_FOLDERS = {"output": Folder.OUTPUT, "temp": Folder.TEMP}


@dataclass(frozen=True, slots=True)
class FilenameSequence:
    """Files that are numbered together: those of one owner and folder with the same prefix."""

    owner_id: UserId
    folder: Folder
    subfolder: str
    prefix: str


class OutputFiles:
    def __init__(self, blobs: BlobStore, retry: Retrier) -> None:
        self._blobs = blobs
        self._retry = retry

    async def store(
        self,
        saved: Sequence[SavedFile],
        *,
        staging: Path,
        is_wanted: Callable[[], bool],
        may_be_stored: bool,
    ) -> list[NewFile]:
        """Move the files into the store. ``may_be_stored``: an earlier server may have done so, and left before it
        could write the rows. Raises :class:`Invalid` for a report that cannot be true."""

        def check() -> list[tuple[Path, NewFile]]:
            return [(path_of(file, staging, may_be_gone=may_be_stored), new_file(file)) for file in saved]

        async def store(path: Path, new: NewFile) -> NewFile:
            async def move() -> Sha256Digest:
                if may_be_stored and not await asyncio.to_thread(path.exists):
                    return await self._read_back(path, new)
                return await self._blobs.adopt(path, new.digest)

            return replace(new, sha256=await self._retry.run(move, what="store an output", is_wanted=is_wanted))

        files = await asyncio.to_thread(check)
        return await asyncio.gather(*(store(path, new) for path, new in files))

    async def _read_back(self, path: Path, new: NewFile) -> Sha256Digest:
        if await self._blobs.stat(new.digest) != new.size:
            raise Invalid(f"{str(path)!r} cannot be stored: there is no such file")
        other = sha256()
        async for chunk in self._blobs.read(new.digest):
            other.update(chunk)
        return Sha256Digest(other.hexdigest())


def sequence_of(owner_id: UserId, message: ReserveNames) -> FilenameSequence:
    """The sequence that a request for names counts in. Raises :class:`Invalid` for one that no output can have."""
    clean_filename(f"{message.prefix}_00001_")
    if message.count < 1:
        raise Invalid(f"cannot reserve {message.count} names")
    return FilenameSequence(owner_id, _folder(message.folder), clean_subfolder(message.subfolder), message.prefix)


def kept_name(file: KeptFile) -> tuple[FileName, Digest]:
    """Raises :class:`Invalid` for a name that no output can have."""
    name = FileName(_folder(file.folder), clean_subfolder(file.subfolder), clean_filename(file.filename))
    return name, parse_digest(file.digest)


def path_of(file: SavedFile, staging: Path, *, may_be_gone: bool = False) -> Path:
    """The path of a saved file. Blocks.

    Raises :class:`Invalid` if it is not in the job's folder, or not a file; :class:`OSError` if the folder itself is
    gone.
    """
    path = Path(file.path)
    if not path.parent.resolve().is_relative_to(staging.resolve()):
        raise Invalid(f"{file.path!r} is not in the job's folder")
    try:
        status = path.lstat()
    except OSError as error:
        if may_be_gone and isinstance(error, FileNotFoundError):
            return path
        if not staging.is_dir():
            raise  # the engine is not to blame: somebody has removed its folder
        raise Invalid(f"{file.path!r} cannot be stored: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode) or status.st_size != file.size:
        raise Invalid(f"{file.path!r} is not a file of {file.size} bytes")
    return path


def new_file(file: SavedFile) -> NewFile:
    """The row of a saved file. Raises :class:`Invalid` for a name that could lead out of its folder."""
    name = FileName(_folder(file.folder), clean_subfolder(file.subfolder), clean_filename(file.filename))
    return NewFile(file=name, digest=parse_digest(file.digest), size=file.size, mime_type=file.mime_type)


def _folder(name: str) -> Folder:
    if name not in _FOLDERS:
        raise Invalid(f"{name!r} is not a folder for outputs; use 'output' or 'temp'")
    return _FOLDERS[name]
