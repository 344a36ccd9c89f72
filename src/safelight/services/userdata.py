"""A user's small files, such as saved workflows: named by a path, stored in rows. A folder exists while it has
files."""

import builtins
from dataclasses import replace
from datetime import datetime

from safelight.core.asset import clean_subfolder
from safelight.core.clock import from_ms
from safelight.core.errors import Conflict, LimitExceeded, NotFound
from safelight.core.user import Principal
from safelight.core.userdata import clean_path
from safelight.db import publication
from safelight.db import userdata as rows
from safelight.db import workflow as workflow_rows
from safelight.db.transaction import Transaction
from safelight.db.userdata import UserFile
from safelight.services import quota as quotas

__all__ = ["MAX_BYTES", "UserFile", "list", "move", "read", "remove", "stat", "write"]

MAX_BYTES = 32 * 1024 * 1024

FOLDERS = frozenset({"workflows", "subgraphs"})
"""These folders exist for every user, even without files."""
UNWRITTEN = {
    "user.css": b"",
    "comfy.templates.json": b"[]",
    "workflows/.index.json": b'{"favorites": []}',
}
"""The content of these files until the user writes them. The web UI reads them, and lists the folders above, in every
session; a browser shows each 404 to its user as an error."""


def list(tx: Transaction, who: Principal, *, directory: str, recurse: bool) -> builtins.list[UserFile]:
    """The files of a directory, their paths relative to it, by name. ``""`` is the root.

    Raises :class:`NotFound` for a directory without files that is not one of :data:`FOLDERS`, and
    :class:`~safelight.core.errors.InvalidName` for one that leads outside.
    """
    inside = clean_subfolder(directory)
    files = rows.below(tx.conn, who.user_id, directory=inside)
    if not files and inside and inside not in FOLDERS:
        raise NotFound("Directory not found")
    start = len(inside) + 1 if inside else 0
    found = [replace(file, path=file.path[start:]) for file in files]
    return found if recurse else [file for file in found if "/" not in file.path]


def stat(tx: Transaction, who: Principal, *, path: str) -> UserFile:
    file = rows.find(tx.conn, who.user_id, path=clean_path(path))
    if file is None and path in UNWRITTEN:
        return UserFile(path=path, size=len(UNWRITTEN[path]), created_at=_NEVER, modified_at=_NEVER)
    if file is None:
        raise NotFound("File not found")
    return file


def read(tx: Transaction, who: Principal, *, path: str) -> bytes:
    content = rows.content(tx.conn, who.user_id, path=clean_path(path))
    if content is None:
        content = UNWRITTEN.get(path)
    if content is None:
        raise NotFound("File not found")
    return content


def write(tx: Transaction, who: Principal, *, path: str, content: bytes, overwrite: bool, now: datetime) -> UserFile:
    """Raises :class:`Conflict` for a file that exists, without ``overwrite``."""
    clean = clean_path(path)
    if len(content) > MAX_BYTES:
        raise LimitExceeded(f"a file of {len(content)} bytes is too large (at most {MAX_BYTES})")
    existing = rows.find(tx.conn, who.user_id, path=clean)
    if existing and not overwrite:
        raise Conflict("File already exists")
    quotas.admit_bytes(tx, who, size=len(content), instead_of=existing.size if existing else 0)
    rows.put(tx.conn, who.user_id, path=clean, data=content, now=now)
    return stat(tx, who, path=clean)


def move(tx: Transaction, who: Principal, *, path: str, to: str, overwrite: bool) -> UserFile:
    """Rename a file. Raises :class:`NotFound`, and :class:`Conflict` for a destination that exists, without
    ``overwrite``."""
    source = rows.find(tx.conn, who.user_id, path=clean_path(path))
    if source is None:
        raise NotFound("File not found")
    target = clean_path(to)
    if target == source.path:
        return source
    if rows.find(tx.conn, who.user_id, path=target):
        if not overwrite:
            raise Conflict("File already exists")
        rows.remove(tx.conn, who.user_id, path=target)
        _forget_workflow(tx, who, target)
    rows.move(tx.conn, who.user_id, path=source.path, to=target)
    workflow_rows.move(tx.conn, who.user_id, path=source.path, to=target)
    return replace(source, path=target)


def remove(tx: Transaction, who: Principal, *, path: str) -> None:
    """Remove a file and withdraw its publications."""
    clean = clean_path(path)
    if not rows.remove(tx.conn, who.user_id, path=clean):
        raise NotFound("File not found")
    _forget_workflow(tx, who, clean)


_NEVER = from_ms(0)


def _forget_workflow(tx: Transaction, who: Principal, path: str) -> None:
    publication.withdraw_file(tx.conn, who.user_id, path=path)
    workflow_rows.move(tx.conn, who.user_id, path=path, to=None)
