"""Rows of publications: a workflow and its assets as they were when their owner published them.

Anybody who knows a share id may read the publication. So some queries here are made by other users than the owner, and
take no owner; those that take ``owner_id`` say whose it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, select

from safelight.core.digest import Digest
from safelight.core.ids import AssetId, ShareId, UserId, VersionId, WorkflowId
from safelight.db.tables import IS_KEPT, publication_asset, workflow, workflow_version
from safelight.db.tables import publication as table


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedAsset:
    """``asset_id``: of the publisher's asset. ``size``: in bytes."""

    asset_id: AssetId
    name: str
    digest: Digest
    size: int
    mime_type: str
    is_model: bool
    is_public: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """``size``: of the content as JSON, in bytes."""

    share_id: ShareId
    owner_id: UserId
    workflow_id: WorkflowId
    version: int
    name: str
    published_at: datetime
    size: int
    assets: Sequence[PublishedAsset] = ()


@dataclass(frozen=True, slots=True)
class SharedVersion:
    version_id: VersionId
    name: str
    content: Mapping[str, Any]


_ASSET = (
    publication_asset.c.asset_id,
    publication_asset.c.name,
    publication_asset.c.digest,
    publication_asset.c.size,
    publication_asset.c.mime_type,
    publication_asset.c.is_model,
    publication_asset.c.is_public,
)
_COLUMNS = (
    table.c.seq,
    table.c.share_id,
    table.c.owner_id,
    workflow.c.id.label("workflow_id"),
    table.c.version,
    table.c.name,
    table.c.published_at,
    table.c.size,
)
_OF_WORKFLOW = table.join(workflow, workflow.c.seq == table.c.workflow_seq)


def add(conn: Connection, owner_id: UserId, *, new: Publication, content: Mapping[str, Any]) -> None:
    seq = conn.execute(
        select(workflow.c.seq).where(workflow.c.id == new.workflow_id, workflow.c.owner_id == owner_id)
    ).scalar_one()
    result = conn.execute(
        insert(table).values(
            share_id=new.share_id,
            owner_id=owner_id,
            workflow_seq=seq,
            version=new.version,
            name=new.name,
            published_at=new.published_at,
            size=new.size,
            content=content,
        )
    )
    assert result.inserted_primary_key is not None
    columns = [column.name for column in _ASSET]
    assets = [
        {"publication_seq": result.inserted_primary_key[0], "position": position}
        | {name: getattr(asset, name) for name in columns}
        for position, asset in enumerate(new.assets)
    ]
    if assets:
        conn.execute(insert(publication_asset), assets)


def newest(conn: Connection, owner_id: UserId, *, workflow_id: WorkflowId) -> Publication | None:
    """The owner's latest publication of their workflow."""
    where = (workflow.c.id == workflow_id, table.c.owner_id == owner_id)
    row = conn.execute(_publications(*where).order_by(table.c.seq.desc()).limit(1)).one_or_none()
    return _publication(conn, row) if row else None


def newest_of_owner(conn: Connection, owner_id: UserId, *, limit: int) -> list[Publication]:
    """The owner's latest publication of each of their workflows, the newest first; without their assets."""
    latest = select(func.max(table.c.seq)).where(table.c.owner_id == owner_id).group_by(table.c.workflow_seq)
    query = _publications(table.c.seq.in_(latest.correlate(None))).order_by(table.c.seq.desc()).limit(limit)
    rows = conn.execute(query).all()
    return [Publication(**{k: v for k, v in row._mapping.items() if k != "seq"}) for row in rows]


def shared(conn: Connection, *, share_id: ShareId) -> Publication | None:
    """The publication with that share id, for any reader: the share id is the permission to read."""
    row = conn.execute(_publications(table.c.share_id == share_id)).one_or_none()
    return _publication(conn, row) if row else None


def content_of(conn: Connection, *, share_id: ShareId) -> Mapping[str, Any]:
    content: Mapping[str, Any] = conn.execute(select(table.c.content).where(table.c.share_id == share_id)).scalar_one()
    return content


def is_shared(conn: Connection, owner_id: UserId, *, workflow_id: WorkflowId) -> bool:
    """Whether another user than ``owner_id`` owns that workflow and has published it."""
    query = select(table.c.seq).select_from(_OF_WORKFLOW).where(*_of_others(owner_id, workflow_id)).limit(1)
    return conn.execute(query).one_or_none() is not None


def find_version(conn: Connection, owner_id: UserId, *, workflow_id: WorkflowId, version: int) -> SharedVersion | None:
    """A version that another user than ``owner_id`` has published, as in their latest publication of it."""
    return _shared_version(conn, owner_id, workflow_id, _int64(version), workflow_version.c.version)


def is_shared_version(conn: Connection, owner_id: UserId, *, workflow_id: WorkflowId, version_id: VersionId) -> bool:
    return _shared_version(conn, owner_id, workflow_id, version_id, workflow_version.c.id) is not None


def withdraw(conn: Connection, owner_id: UserId, *, workflow_id: WorkflowId) -> None:
    seqs = select(workflow.c.seq).where(workflow.c.id == workflow_id, workflow.c.owner_id == owner_id)
    conn.execute(delete(table).where(table.c.workflow_seq.in_(seqs)))


def withdraw_file(conn: Connection, owner_id: UserId, *, path: str) -> None:
    """Delete the publications of a userdata file that was deleted."""
    seqs = select(workflow.c.seq).where(workflow.c.owner_id == owner_id, workflow.c.path == path)
    conn.execute(delete(table).where(table.c.workflow_seq.in_(seqs)))


def _shared_version(
    conn: Connection, owner_id: UserId, workflow_id: WorkflowId, value: object, column: ColumnElement[Any]
) -> SharedVersion | None:
    same_version = (workflow_version.c.workflow_seq == table.c.workflow_seq) & (
        workflow_version.c.version == table.c.version
    )
    query = (
        select(workflow_version.c.id, table.c.name, table.c.content)
        .select_from(_OF_WORKFLOW.join(workflow_version, same_version))
        .where(*_of_others(owner_id, workflow_id), column == value)
        .order_by(table.c.seq.desc())
        .limit(1)
    )
    row = conn.execute(query).one_or_none()
    return SharedVersion(VersionId(row.id), row.name, row.content) if row else None


def _of_others(owner_id: UserId, workflow_id: WorkflowId) -> tuple[ColumnElement[bool], ...]:
    return workflow.c.id == workflow_id, workflow.c.owner_id != owner_id, IS_KEPT


def _publications(*where: ColumnElement[bool]) -> Any:
    return select(*_COLUMNS).select_from(_OF_WORKFLOW).where(*where, IS_KEPT)


def _publication(conn: Connection, row: Row[Any]) -> Publication:
    query = select(*_ASSET).where(publication_asset.c.publication_seq == row.seq).order_by(publication_asset.c.position)
    assets = [PublishedAsset(**asset._mapping) for asset in conn.execute(query)]
    fields = {name: value for name, value in row._mapping.items() if name != "seq"}
    return Publication(**fields, assets=assets)


def _int64(number: int) -> int:
    """The number, or 0, which no version has, if it is too large for the database."""
    return number if 0 < number < 2**31 else 0
