"""Files by name: uploads under ComfyUI's rules for names, outputs of jobs, and finding files."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from safelight.core.asset import Asset, FileName, Folder, parse_file_name
from safelight.core.digest import Digest, Sha256Digest, digest_in_name
from safelight.core.errors import InvalidName
from safelight.core.event import FilesChanged
from safelight.core.ids import UserId, new_asset_id
from safelight.core.job import Fence
from safelight.core.user import Principal
from safelight.db import asset as rows
from safelight.db import blob as blobs
from safelight.db.transaction import Transaction
from safelight.services import quota as quotas

_LONGEST_NAME = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFile:
    """A file whose bytes are already in the blob store."""

    file: FileName
    digest: Digest
    size: int
    mime_type: str
    sha256: Sha256Digest | None = None


def upload(tx: Transaction, who: Principal, *, new: NewFile, overwrite: bool, now: datetime) -> Asset:
    """Register uploaded bytes under a file name, as ``/upload/image`` does.

    If the name is taken by the same bytes, return that file. If it is taken by other bytes, use the name ``a (1).png``,
    or with ``overwrite`` replace the old bytes.
    """
    blobs.ensure(tx.conn, digest=new.digest, size=new.size, now=now, sha256=new.sha256)
    file = new.file if overwrite else free_name(tx, who, file=new.file, digest=new.digest)
    existing = rows.find_named(tx.conn, who.user_id, file=file)
    if existing is None:
        quotas.admit_bytes(tx, who, size=new.size)
        asset = _asset(who.user_id, replace(new, file=file), now=now)
        rows.add(tx.conn, asset)
        tx.emit(FilesChanged(who.user_id))
        return asset
    if existing.digest == new.digest:
        return existing
    quotas.admit_bytes(tx, who, size=new.size, instead_of=existing.size)
    changed = replace(existing, digest=new.digest, size=new.size, mime_type=new.mime_type, updated_at=now)
    rows.change_content(tx.conn, who.user_id, asset=changed)
    tx.emit(FilesChanged(who.user_id))
    return changed


def add_outputs(tx: Transaction, owner_id: UserId, fence: Fence, *, files: Sequence[NewFile], now: datetime) -> None:
    """Store the files of a running attempt: they can be viewed, and are listed after :func:`services.attempt.finish`.

    The names were reserved before (``dispatch/attempts/names.py``); an upload that has taken one since loses its name.
    """
    for new in files:
        blobs.ensure(tx.conn, digest=new.digest, size=new.size, now=now, sha256=new.sha256)
        rows.remove_file_name(tx.conn, owner_id, file=new.file)
        rows.add(tx.conn, replace(_asset(owner_id, new, now=now), job_id=fence.job_id), fence=fence)


def find_files(tx: Transaction, who: Principal, *, files: Collection[FileName]) -> Mapping[FileName, Asset]:
    """The assets of those ``files`` that exist."""
    return rows.find_all_named(tx.conn, who.user_id, files=files)


def files_named(tx: Transaction, who: Principal, *, names: Collection[str]) -> dict[str, Asset]:
    """The assets of those ``names`` (``a.png``, ``sub/b.png [output]``) that are files of the owner; any text is
    allowed."""
    wanted = {name: file for name in names if (file := _file_name(name)) is not None}
    if not wanted:
        return {}
    found = rows.find_all_named(tx.conn, who.user_id, files=set(wanted.values()))
    by_name = {name: found[file] for name, file in wanted.items() if file in found}
    digests = {
        name: digest
        for name, file in wanted.items()
        if name not in by_name and (digest := digest_in_name(file.filename)) is not None
    }
    of_digest = rows.find_all_of_digests(tx.conn, who.user_id, digests=set(digests.values())) if digests else {}
    return by_name | {name: of_digest[digest] for name, digest in digests.items() if digest in of_digest}


MOST_IN_FOLDERS = 1000
"""Files of one job that are there because its prompt names their folders."""


def files_in_folders(
    tx: Transaction, who: Principal, *, folders: Collection[str], at_most: int = MOST_IN_FOLDERS
) -> dict[str, Asset]:
    """The owner's files in these subfolders of the input folder, by name (``frames/001.png``); the first ``at_most``
    of them."""
    if not folders:
        return {}
    listed = [(asset.file, asset) for asset in rows.in_folder(tx.conn, who.user_id, folder=Folder.INPUT, limit=None)]
    found = {
        f"{file.subfolder}/{file.filename}": asset
        for file, asset in listed
        if file is not None and file.subfolder.partition("/")[0] in folders
    }
    return dict(sorted(found.items())[:at_most])


def list_files(tx: Transaction, who: Principal, *, folder: Folder, limit: int | None = None) -> Sequence[Asset]:
    """The files of a folder and its subfolders, newest first, without those of running jobs."""
    return rows.in_folder(tx.conn, who.user_id, folder=folder, limit=limit)


def last_number(tx: Transaction, owner_id: UserId, *, folder: Folder, subfolder: str, prefix: str) -> int:
    """The highest number of the owner's ``<prefix>_00001_.png`` files in that folder; 0 where there is none."""
    return rows.last_number(tx.conn, owner_id, folder=folder, subfolder=subfolder, series=prefix)


def _asset(owner_id: UserId, new: NewFile, *, now: datetime) -> Asset:
    return Asset(
        id=new_asset_id(),
        owner_id=owner_id,
        name=new.file.filename,
        digest=new.digest,
        size=new.size,
        mime_type=new.mime_type,
        created_at=now,
        updated_at=now,
        last_access_at=now,
        file=new.file,
        tags=(new.file.folder.value,),
    )


def free_name(tx: Transaction, who: Principal, *, file: FileName, digest: Digest | None) -> FileName:
    """The first of ``a.png``, ``a (1).png``, ``a (2).png`` ... that is free or holds the bytes of ``digest``."""
    existing = rows.find_named(tx.conn, who.user_id, file=file)
    if existing is None or existing.digest == digest:
        return file
    stem, dot, extension = file.filename.rpartition(".")
    if not stem:  # no extension, or only an extension (".hidden")
        stem, dot, extension = file.filename, "", ""
    first = replace(file, filename=f"{stem} (")
    taken = rows.names_between(tx.conn, who.user_id, like=first, high=f"{stem} )")
    number = 1
    while taken.get(name := f"{stem} ({number}){dot}{extension}") not in (None, digest):
        number += 1
    return replace(file, filename=name)


def _file_name(text: str) -> FileName | None:
    if not text or len(text) > _LONGEST_NAME:
        return None
    try:
        return parse_file_name(text)
    except InvalidName:
        return None
