"""The example picture: every user of a new installation finds ``example.png`` among their inputs, as in ComfyUI.

It is a file of its owner like any other: they may use, replace and delete it.
"""

import asyncio
from datetime import datetime
from functools import cache
from pathlib import Path

from safelight.blobs.hashing import hash_file
from safelight.blobs.store import BlobStore
from safelight.core.asset import PUBLIC_OWNER, FileName, Folder
from safelight.core.digest import Digest
from safelight.core.user import Principal
from safelight.db import asset as asset_rows
from safelight.db import blob as blob_rows
from safelight.db import user as user_rows
from safelight.db.engine import Database
from safelight.db.transaction import Transaction
from safelight.services import named_files

EXAMPLE = Path(__file__).parents[1] / "bundled" / "inputs" / "example.png"


@cache
def _digest() -> Digest:
    return hash_file(EXAMPLE)


async def prepare(db: Database, blobs: BlobStore, *, now: datetime) -> None:
    """Store the picture at the first start of an installation, and give it to the users who have no files yet.

    Users who are added later get it by :func:`give`.
    """
    if await db.read(lambda tx: blob_rows.known(tx.conn, [_digest()])):
        return
    writer = blobs.writer()
    try:
        await writer.write(await asyncio.to_thread(EXAMPLE.read_bytes))
        await writer.finish()
    except BaseException:
        await writer.abort()
        raise

    def give_to_all(tx: Transaction) -> None:
        blob_rows.ensure(tx.conn, digest=_digest(), size=EXAMPLE.stat().st_size, now=now)
        for user_id in set(user_rows.without_assets(tx.conn)) - {PUBLIC_OWNER}:
            give(tx, Principal(user_id), now=now)

    await db.write(give_to_all)


def give(tx: Transaction, who: Principal, *, now: datetime) -> None:
    """Add the picture to the inputs of a new user, where the installation has it."""
    if not blob_rows.known(tx.conn, [_digest()]):
        return
    file = FileName(Folder.INPUT, "", EXAMPLE.name)
    if asset_rows.find_named(tx.conn, who.user_id, file=file) is None:
        new = named_files.NewFile(file=file, digest=_digest(), size=EXAMPLE.stat().st_size, mime_type="image/png")
        named_files.upload(tx, who, new=new, overwrite=False, now=now)
