"""Judging what an engine says of files. An engine runs other people's code: only what lies in its own staging folder is
taken, and only under names that could not lead anywhere."""

import stat
from collections.abc import Sequence
from pathlib import Path

from safelight.core.asset import FileName, Folder, clean_filename, clean_subfolder
from safelight.core.digest import parse_digest
from safelight.core.errors import Invalid
from safelight.core.ids import UserId
from safelight.dispatch.names import Series
from safelight.services.asset import NewFile
from safelight.wire.messages import ReserveNames, SavedFile

_FOLDERS = {"output": Folder.OUTPUT, "temp": Folder.TEMP}


def new_files(saved: Sequence[SavedFile], *, staging: Path) -> list[tuple[Path, NewFile]]:
    """The files to take over, and what they become. Raises :class:`Invalid` for a claim that cannot be true."""
    return [(_path(file, staging), _new(file)) for file in saved]


def series_of(owner_id: UserId, message: ReserveNames) -> Series:
    """Raises :class:`Invalid` for a place that is no output's."""
    clean_filename(f"{message.prefix}_00001_")
    if message.count < 1:
        raise Invalid(f"{message.count} names cannot be reserved")
    return Series(owner_id, _folder(message.folder), clean_subfolder(message.subfolder), message.prefix)


def _path(file: SavedFile, staging: Path) -> Path:
    path = Path(file.path)
    if not path.parent.resolve().is_relative_to(staging.resolve()):
        raise Invalid(f"{file.path!r} is not in the job's folder")
    try:
        status = path.lstat()
    except OSError as error:
        raise Invalid(f"{file.path!r} cannot be taken over: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode) or status.st_size != file.size:
        raise Invalid(f"{file.path!r} is not a file of {file.size} bytes")
    return path


def _new(file: SavedFile) -> NewFile:
    name = FileName(_folder(file.folder), clean_subfolder(file.subfolder), clean_filename(file.filename))
    return NewFile(file=name, digest=parse_digest(file.digest), size=file.size, mime_type=file.mime_type)


def _folder(name: str) -> Folder:
    if name not in _FOLDERS:
        raise Invalid(f"{name!r} is not a folder for outputs")
    return _FOLDERS[name]
