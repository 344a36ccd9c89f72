"""What may be done with assets: uploads under ComfyUI's rules for names, outputs of jobs, finding files by name."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from safelight.core.asset import Asset, FileName, Folder, parse_file_name
from safelight.core.digest import Digest, Sha256Digest
from safelight.core.errors import InvalidName, NotFound
from safelight.core.ids import UserId, new_asset_id
from safelight.core.job import Fence
from safelight.core.user import Principal
from safelight.db import asset as rows
from safelight.db import blob as blobs
from safelight.db.transaction import Transaction
from safelight.services import quota as quotas

_LONGEST_NAME = 4096
_DIGEST_NAME = re.compile(r"([0-9a-f]{64})(\.[A-Za-z0-9]{1,16})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFile:
    """A file whose bytes are in the blob store by now."""

    file: FileName
    digest: Digest
    size: int
    mime_type: str
    sha256: Sha256Digest | None = None


def upload(tx: Transaction, who: Principal, *, new: NewFile, overwrite: bool, now: datetime) -> Asset:
    """Give bytes a file name, as ``/upload/image`` does.

    The same name and the same bytes are the file that is there. The same name and other bytes get ``a (1).png``, or
    with ``overwrite`` take the place of the old.
    """
    blobs.ensure(tx.conn, digest=new.digest, size=new.size, now=now, sha256=new.sha256)
    file = new.file if overwrite else free_name(tx, who, file=new.file, digest=new.digest)
    there = rows.find_named(tx.conn, who.user_id, file=file)
    if there is None:
        quotas.admit_bytes(tx, who, size=new.size)
        asset = _asset(who.user_id, replace(new, file=file), now=now)
        rows.add(tx.conn, asset)
        return asset
    if there.digest == new.digest:
        return there
    quotas.admit_bytes(tx, who, size=new.size, instead_of=there.size)
    changed = replace(there, digest=new.digest, size=new.size, mime_type=new.mime_type, updated_at=now)
    rows.change_content(tx.conn, who.user_id, asset=changed)
    return changed


def add_outputs(tx: Transaction, owner_id: UserId, fence: Fence, *, files: Sequence[NewFile], now: datetime) -> None:
    """Keep the files of a running attempt: viewable, but not listed before :func:`services.attempt.finish`.

    Names are reserved before (``dispatch/attempts/names.py``). If an upload has taken one since, the upload loses it.
    """
    for new in files:
        blobs.ensure(tx.conn, digest=new.digest, size=new.size, now=now, sha256=new.sha256)
        rows.take_name_away(tx.conn, owner_id, file=new.file)
        rows.add(tx.conn, replace(_asset(owner_id, new, now=now), job_id=fence.job_id), fence=fence)


def find_file(tx: Transaction, who: Principal, *, file: FileName) -> Asset:
    asset = rows.find_named(tx.conn, who.user_id, file=file)
    if asset is None and (digest := _digest_in(file.filename)) is not None:
        asset = _of_digest(tx, who, digest)
    if asset is None:
        raise NotFound(f"there is no file {file}")
    return asset


def find_files(tx: Transaction, who: Principal, *, files: Collection[FileName]) -> Mapping[FileName, Asset]:
    """Those of ``files`` that are there."""
    return rows.find_all_named(tx.conn, who.user_id, files=files)


def files_named(tx: Transaction, who: Principal, *, names: Collection[str]) -> dict[str, Asset]:
    """Those of ``names`` (``a.png``, ``sub/b.png [output]``) that are files of the owner; any text may be asked."""
    wanted = {name: file for name in names if (file := _file_name(name)) is not None}
    if not wanted:
        return {}
    found = rows.find_all_named(tx.conn, who.user_id, files=set(wanted.values()))
    by_name = {name: found[file] for name, file in wanted.items() if file in found}
    digests = {
        name: digest
        for name, file in wanted.items()
        if name not in by_name and (digest := _digest_in(file.filename)) is not None
    }
    of_digest = rows.find_all_of_digests(tx.conn, who.user_id, digests=set(digests.values())) if digests else {}
    return by_name | {name: of_digest[digest] for name, digest in digests.items() if digest in of_digest}


def list_files(tx: Transaction, who: Principal, *, folder: Folder, limit: int | None = None) -> Sequence[Asset]:
    """The files of a folder and its subfolders, the newest first; those of running jobs are not among them."""
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
    there = rows.find_named(tx.conn, who.user_id, file=file)
    if there is None or there.digest == digest:
        return file
    stem, dot, extension = file.filename.rpartition(".")
    if not stem:  # no extension, or nothing but one (".hidden")
        stem, dot, extension = file.filename, "", ""
    first = replace(file, filename=f"{stem} (")
    taken = rows.names_between(tx.conn, who.user_id, like=first, high=f"{stem} )")
    number = 1
    while taken.get(name := f"{stem} ({number}){dot}{extension}") not in (None, digest):
        number += 1
    return replace(file, filename=name)


def _of_digest(tx: Transaction, who: Principal, digest: Digest) -> Asset | None:
    found = rows.find_of_digest(tx.conn, who.user_id, digest=digest)
    return found[1] if found else None


def _digest_in(filename: str) -> Digest | None:
    """Clients of Comfy Cloud also name a file by its bytes: ``<blake3>.png``."""
    match = _DIGEST_NAME.fullmatch(filename)
    return Digest(match[1]) if match else None


def _file_name(text: str) -> FileName | None:
    if not text or len(text) > _LONGEST_NAME:
        return None
    try:
        return parse_file_name(text)
    except InvalidName:
        return None
