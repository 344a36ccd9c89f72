"""Rows of blobs: the bytes that the store, or a scanned model file, has."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, exists, or_, select

from safelight.core.digest import Digest, Sha256Digest
from safelight.db.tables import asset, blob, publication_asset, scanned_file
from safelight.db.upsert import insert

_IS_USED = or_(
    exists().where(asset.c.digest == blob.c.digest), exists().where(publication_asset.c.digest == blob.c.digest)
)


@dataclass(frozen=True, slots=True)
class BlobRow:
    digest: Digest
    size: int


def ensure(conn: Connection, *, digest: Digest, size: int, now: datetime, sha256: Sha256Digest | None = None) -> None:
    statement = insert(conn, blob)
    values = {"digest": digest, "size": size, "created_at": now, "sha256": sha256}
    if sha256 is None:
        conn.execute(statement.on_conflict_do_nothing(index_elements=["digest"]), values)
    else:
        keep = statement.on_conflict_do_update(index_elements=["digest"], set_={"sha256": statement.excluded.sha256})
        conn.execute(keep, values)


def of_sha256(conn: Connection, sha256: Sha256Digest) -> Digest | None:
    """The digest of the blob with that SHA-256, of any owner: the caller must check who owns it."""
    digests: list[Digest] = list(conn.execute(select(blob.c.digest).where(blob.c.sha256 == sha256).limit(1)).scalars())
    return digests[0] if digests else None


def after(conn: Connection, digest: Digest | None, *, limit: int) -> Sequence[BlobRow]:
    """A page in the order of digests."""
    query = select(blob.c.digest, blob.c.size).order_by(blob.c.digest).limit(limit)
    if digest is not None:
        query = query.where(blob.c.digest > digest)
    return [BlobRow(row.digest, row.size) for row in conn.execute(query)]


def known(conn: Connection, digests: Collection[Digest]) -> set[Digest]:
    """Those of ``digests`` that have a row. For at most some hundreds."""
    return set(conn.execute(select(blob.c.digest).where(blob.c.digest.in_(digests))).scalars())


def names(conn: Connection, digest: Digest, *, limit: int = 20) -> Sequence[str]:
    """The assets with these bytes, for display: ``anna: picture.png``."""
    query = select(asset.c.owner_id, asset.c.name).where(asset.c.digest == digest).order_by(asset.c.seq).limit(limit)
    return [f"{row.owner_id}: {row.name}" for row in conn.execute(query)]


def scanned_paths(conn: Connection, digest: Digest) -> Sequence[str]:
    """The scanned model files with these bytes."""
    query = select(scanned_file.c.path).join(asset, asset.c.id == scanned_file.c.asset_id)
    return list(conn.execute(query.where(asset.c.digest == digest)).scalars())


def unused(conn: Connection, *, before: datetime, limit: int) -> Sequence[Digest]:
    """Blobs created before ``before`` that nothing refers to."""
    query = select(blob.c.digest).where(blob.c.created_at < before, ~_IS_USED).limit(limit)
    return list(conn.execute(query).scalars())


def forget(conn: Connection, digests: Collection[Digest]) -> None:
    """Delete the rows of those of ``digests`` that nothing refers to."""
    conn.execute(delete(blob).where(blob.c.digest.in_(digests), ~_IS_USED))
