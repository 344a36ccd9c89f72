"""Rows of blobs: which bytes the store holds."""

from datetime import datetime

from sqlalchemy import Connection, select

from safelight.core.digest import Digest, Sha256Digest
from safelight.db.tables import blob
from safelight.db.upsert import insert


def ensure(conn: Connection, *, digest: Digest, size: int, now: datetime, sha256: Sha256Digest | None = None) -> None:
    statement = insert(conn, blob)
    values = {"digest": digest, "size": size, "created_at": now, "sha256": sha256}
    if sha256 is None:
        conn.execute(statement.on_conflict_do_nothing(index_elements=["digest"]), values)
    else:
        keep = statement.on_conflict_do_update(index_elements=["digest"], set_={"sha256": statement.excluded.sha256})
        conn.execute(keep, values)


def of_sha256(conn: Connection, sha256: Sha256Digest) -> Digest | None:
    """The digest of the blob with that other digest; whose it is must be asked elsewhere."""
    digests: list[Digest] = list(conn.execute(select(blob.c.digest).where(blob.c.sha256 == sha256).limit(1)).scalars())
    return digests[0] if digests else None
