"""Takes over what a user has made with a ComfyUI: output and input files become assets, saved workflows become
workflows. Nothing is changed where it comes from.

Each file is recognised by its name and its bytes, so that a second run adds only what is new: a file of a known name
with other bytes gets a name of its own, as an upload does.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from safelight.blobs.hashing import hash_file
from safelight.blobs.opening import open_file
from safelight.blobs.store import BlobStore
from safelight.comfyui.saved_work import SavedFile
from safelight.core.asset import FileName, Folder, clean_filename, clean_subfolder
from safelight.core.digest import Digest
from safelight.core.errors import Invalid, InvalidName, NotFound
from safelight.core.publication import read_document
from safelight.core.user import Principal
from safelight.core.userdata import clean_path
from safelight.db.engine import Database
from safelight.db.transaction import Transaction
from safelight.media.sniff import HEAD_BYTES, mime_type_of
from safelight.services import named_files, userdata
from safelight.services import workflow as workflows
from safelight.services.named_files import NewFile

WORKFLOWS = "workflows"
"""The folder of a user's small files in which the web UI keeps saved workflows."""
_CHUNK = 1024 * 1024
_MOST_VERSIONS = 1000


@dataclass(slots=True)
class TakenOver:
    """Mutable: what was added, how many files were there already, and why some were left out."""

    added: int = 0
    known: int = 0
    left_out: dict[str, str] = field(default_factory=dict)


async def take_files(
    db: Database, blobs: BlobStore, who: Principal, *, folder: Folder, files: Iterable[SavedFile]
) -> TakenOver:
    """Add files to the owner's ``folder``, with the times at which they were last changed.

    Raises :class:`~safelight.core.errors.LimitExceeded` when the owner's quota is used up: what was added stays.
    """
    taken = TakenOver()
    for file in files:
        try:
            is_new = await _take_file(db, blobs, who, folder=folder, file=file)
        except (InvalidName, OSError) as error:
            taken.left_out[file.name] = str(error)
        else:
            taken.added += is_new
            taken.known += not is_new
    return taken


async def take_workflows(db: Database, who: Principal, *, files: Iterable[SavedFile], now: datetime) -> TakenOver:
    """Add saved workflows. Raises :class:`~safelight.core.errors.LimitExceeded` when the owner's quota is used up."""
    taken = TakenOver()
    for file in files:
        try:
            content = await asyncio.to_thread(file.path.read_bytes)
            write = partial(_take_workflow, who=who, name=file.name, content=content, now=now)
            is_new = await db.write(write)
        except (Invalid, OSError) as error:
            taken.left_out[file.name] = str(error)
        else:
            taken.added += is_new
            taken.known += not is_new
    return taken


async def _take_file(db: Database, blobs: BlobStore, who: Principal, *, folder: Folder, file: SavedFile) -> bool:
    subfolder, _, filename = file.name.rpartition("/")
    name = FileName(folder, clean_subfolder(subfolder), clean_filename(filename))
    digest = await asyncio.to_thread(hash_file, file.path)
    if await db.read(lambda tx: _has(tx, who, name, digest)):
        return False
    new = await _store(blobs, name, file.path)
    changed_at = datetime.fromtimestamp(file.path.stat().st_mtime, UTC)
    await db.write(lambda tx: named_files.upload(tx, who, new=new, overwrite=False, now=changed_at))
    return True


def _has(tx: Transaction, who: Principal, name: FileName, digest: Digest) -> bool:
    """Whether the owner has these bytes under the name that they would get."""
    free = named_files.free_name(tx, who, file=name, digest=digest)
    return bool(named_files.find_files(tx, who, files=[free]))


async def _store(blobs: BlobStore, name: FileName, path: Path) -> NewFile:
    """Copy a file into the store: its bytes may change while it is read, so the copy has the digest of its own."""
    writer = blobs.writer()
    head = b""
    file = await open_file(path)
    try:
        while chunk := await asyncio.to_thread(file.read, _CHUNK):
            head = head or chunk[:HEAD_BYTES]
            await writer.write(chunk)
        digest, size = await writer.finish()
    except BaseException:
        await writer.abort()
        raise
    finally:
        file.close()
    mime_type = mime_type_of(name.filename, head)
    return NewFile(file=name, digest=digest, size=size, mime_type=mime_type, sha256=writer.sha256)


def _take_workflow(tx: Transaction, who: Principal, *, name: str, content: bytes, now: datetime) -> bool:
    """Write the workflow as a small file, which the web UI lists, and as a saved workflow bound to it."""
    document = read_document(content)
    path = _free_path(tx, who, name=name, content=content)
    if path is None:
        return False
    userdata.write(tx, who, path=path, content=content, overwrite=False, now=now)
    workflows.keep_file(tx, who, path=path, content=document, now=now)
    return True


def _free_path(tx: Transaction, who: Principal, *, name: str, content: bytes) -> str | None:
    """The first of ``a.json``, ``a (1).json`` ... that is free; ``None`` if one before it has this content."""
    clean = clean_path(f"{WORKFLOWS}/{name}")
    stem = clean.removesuffix(".json")
    for path in (clean, *(f"{stem} ({number}).json" for number in range(1, _MOST_VERSIONS))):
        try:
            if userdata.read(tx, who, path=path) == content:
                return None
        except NotFound:
            return path
    raise Invalid(f"there are {_MOST_VERSIONS} workflows of that name")
