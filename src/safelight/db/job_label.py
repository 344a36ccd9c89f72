"""Rows of what an owner attached to jobs: labels, by which jobs are found, and the assets that jobs hold."""

from collections.abc import Collection, Mapping
from hashlib import blake2b
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, insert, select

from safelight.core.ids import AssetId, UserId
from safelight.core.job import JobSummary
from safelight.db.job_columns import summary_of
from safelight.db.job_rows import SUMMARY
from safelight.db.tables import IS_QUEUED, IS_RUNNING, job, job_asset, job_label

_LONGEST = 255
_INSERT_LABEL = insert(job_label)
_INSERT_ASSET = insert(job_asset)
_IS_HELD = (
    select(job_asset.c.job_seq)
    .join_from(job_asset, job, job.c.seq == job_asset.c.job_seq)
    .where(
        job_asset.c.owner_id == bindparam("owner"), job_asset.c.asset_id == bindparam("of_id"), IS_QUEUED | IS_RUNNING
    )
    .limit(1)
)


def add(conn: Connection, owner_id: UserId, *, seq: int, labels: Mapping[str, str]) -> None:
    """Index the labels of the job with the row number ``seq``."""
    if labels:
        conn.execute(
            _INSERT_LABEL,
            [{"owner_id": owner_id, "key": k, "value": _indexed(v), "job_seq": seq} for k, v in labels.items()],
        )


def hold_assets(conn: Connection, owner_id: UserId, *, seq: int, asset_ids: Collection[AssetId]) -> None:
    """Record the assets that the job names by id."""
    if asset_ids:
        conn.execute(_INSERT_ASSET, [{"owner_id": owner_id, "asset_id": a, "job_seq": seq} for a in set(asset_ids)])


def is_held(conn: Connection, owner_id: UserId, *, asset_id: AssetId) -> bool:
    """Whether a job that waits or runs names the asset by its id."""
    return conn.execute(_IS_HELD, {"owner": owner_id, "of_id": asset_id}).first() is not None


def page(
    conn: Connection, owner_id: UserId, *, labels: Mapping[str, str], before: int | None, limit: int
) -> list[tuple[int, JobSummary]]:
    """The newest jobs that have all these labels, each with its row's number. ``before``: only older rows than this."""
    query = select(*SUMMARY).where(job.c.owner_id == owner_id)
    if before is not None:
        query = query.where(job.c.seq < before)
    for key, value in labels.items():
        query = query.where(job.c.seq.in_(_labelled(owner_id, key, value)))
    rows = conn.execute(query.order_by(job.c.seq.desc()).limit(limit))
    return [(row.seq, summary_of(row)) for row in rows]


def _labelled(owner_id: UserId, key: str, value: str) -> Any:
    same: tuple[ColumnElement[bool], ...] = (
        job_label.c.owner_id == owner_id,
        job_label.c.key == key,
        job_label.c.value == _indexed(value),
    )
    return select(job_label.c.job_seq).where(*same).correlate(None)


def _indexed(value: str) -> str:
    """The value itself, or a digest of one that is too long for an index."""
    return value if len(value) <= _LONGEST else "#" + blake2b(value.encode(), digest_size=24).hexdigest()
