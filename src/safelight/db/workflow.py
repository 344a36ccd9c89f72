"""Rows of saved workflows and their versions. A deleted workflow keeps its rows, but no query returns it."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, insert, select, update

from safelight.core.ids import AssetId, UserId, VersionId, WorkflowId
from safelight.core.paging import Page, PageRequest
from safelight.core.workflow import DefaultView, Origin, Workflow, WorkflowSort, WorkflowVersion
from safelight.db.tables import IS_KEPT, workflow_asset
from safelight.db.tables import workflow as table
from safelight.db.tables import workflow_version as versions

_COLUMNS: tuple[ColumnElement[Any], ...] = (
    table.c.id,
    table.c.owner_id,
    table.c.name,
    table.c.description,
    table.c.default_view,
    table.c.latest_version,
    table.c.created_at,
    table.c.updated_at,
    table.c.forked_from,
    table.c.forked_from_version,
)
_SORT_KEYS: Mapping[WorkflowSort, tuple[ColumnElement[Any], ...]] = {
    WorkflowSort.CREATED: (table.c.seq,),
    WorkflowSort.UPDATED: (table.c.updated_at, table.c.seq),
    WorkflowSort.NAME: (table.c.name_folded, table.c.seq),
}


def add(conn: Connection, new: Workflow, *, path: str | None = None) -> None:
    origin = new.forked_from
    values = {
        "id": new.id,
        "owner_id": new.owner_id,
        "latest_version": new.latest_version,
        "created_at": new.created_at,
        "forked_from": origin.workflow_id if origin else None,
        "forked_from_version": origin.version_id if origin else None,
        "path": path,
    }
    conn.execute(insert(table).values(values | _changeable(new)))


def find(conn: Connection, owner_id: UserId, *, workflow_id: WorkflowId) -> Workflow | None:
    row = conn.execute(select(*_COLUMNS).where(*_one(owner_id, workflow_id))).one_or_none()
    return _workflow(row) if row else None


def page(
    conn: Connection,
    owner_id: UserId,
    *,
    name: str | None,
    default_view: DefaultView | None,
    sort: WorkflowSort,
    descending: bool,
    request: PageRequest,
) -> Page[Workflow]:
    """``name``: a part of the name, ignoring case. Reads only the owner's rows, along an index."""
    where = [table.c.owner_id == owner_id, IS_KEPT]
    if name:
        where.append(table.c.name_folded.contains(fold(name), autoescape=True))
    if default_view:
        where.append(table.c.default_view == default_view.value)
    order = [column.desc() if descending else column.asc() for column in _SORT_KEYS[sort]]
    found = select(*_COLUMNS).where(*where).order_by(*order).limit(request.limit).offset(request.offset)
    total = conn.execute(select(func.count()).select_from(table).where(*where)).scalar_one()
    return Page([_workflow(row) for row in conn.execute(found)], total, request)


def replace(conn: Connection, owner_id: UserId, *, after: Workflow) -> None:
    """Write everything that can change: all but the id, the owner, the origin and the time of creation."""
    values = _changeable(after) | {"latest_version": after.latest_version}
    conn.execute(update(table).where(*_one(owner_id, after.id)).values(values))


def remove(conn: Connection, owner_id: UserId, *, workflow_id: WorkflowId, now: datetime) -> bool:
    changed = update(table).where(*_one(owner_id, workflow_id)).values(deleted_at=now, path=None)
    return conn.execute(changed).rowcount == 1


def add_version(conn: Connection, owner_id: UserId, *, workflow_id: WorkflowId, new: WorkflowVersion) -> None:
    seq = conn.execute(select(table.c.seq).where(*_one(owner_id, workflow_id))).scalar_one()
    key = {"workflow_seq": seq, "version": new.version}
    conn.execute(insert(versions).values(key | {"id": new.id, "created_at": new.created_at, "content": new.content}))
    named = [key | {"owner_id": owner_id, "asset_id": asset_id} for asset_id in new.dependencies]
    if named:
        conn.execute(insert(workflow_asset), named)


def find_version(
    conn: Connection, owner_id: UserId, *, workflow_id: WorkflowId, version: int | None
) -> WorkflowVersion | None:
    """``version=None``: the latest."""
    wanted = table.c.latest_version if version is None else version
    columns = (versions.c.id, versions.c.version, versions.c.created_at, versions.c.content, versions.c.workflow_seq)
    query = (
        select(*columns)
        .join(table, table.c.seq == versions.c.workflow_seq)
        .where(*_one(owner_id, workflow_id), versions.c.version == wanted)
    )
    row = conn.execute(query).one_or_none()
    if row is None:
        return None
    named = select(workflow_asset.c.asset_id).where(
        workflow_asset.c.workflow_seq == row.workflow_seq, workflow_asset.c.version == row.version
    )
    assets = tuple(AssetId(asset_id) for asset_id in sorted(conn.execute(named).scalars()))
    return WorkflowVersion(VersionId(row.id), row.version, row.created_at, row.content, assets)


def is_version(conn: Connection, owner_id: UserId, *, workflow_id: WorkflowId, version_id: VersionId) -> bool:
    query = (
        select(versions.c.version)
        .join(table, table.c.seq == versions.c.workflow_seq)
        .where(*_one(owner_id, workflow_id), versions.c.id == version_id)
    )
    return conn.execute(query).one_or_none() is not None


def assets_in_use(conn: Connection, owner_id: UserId, *, asset_ids: Collection[AssetId]) -> set[AssetId]:
    """Those of the owner's assets that a version of an existing workflow uses."""
    query = (
        select(workflow_asset.c.asset_id)
        .join(table, table.c.seq == workflow_asset.c.workflow_seq)
        .where(workflow_asset.c.owner_id == owner_id, workflow_asset.c.asset_id.in_(asset_ids), IS_KEPT)
    )
    return {AssetId(asset_id) for asset_id in conn.execute(query.distinct()).scalars()}


def find_at(conn: Connection, owner_id: UserId, *, path: str) -> WorkflowId | None:
    """The workflow that was published from that userdata file."""
    query = select(table.c.id).where(table.c.owner_id == owner_id, table.c.path == path, IS_KEPT)
    found = conn.execute(query).scalar_one_or_none()
    return WorkflowId(found) if found else None


def follow(conn: Connection, owner_id: UserId, *, workflow_id: WorkflowId, path: str) -> None:
    """Bind the workflow to that userdata file."""
    conn.execute(update(table).where(*_one(owner_id, workflow_id)).values(path=path))


def move(conn: Connection, owner_id: UserId, *, path: str, to: str | None) -> None:
    """Change the path of the bound userdata file; ``None``: the file was deleted."""
    conn.execute(update(table).where(table.c.owner_id == owner_id, table.c.path == path).values(path=to))


def fold(name: str) -> str:
    return name.casefold()


def _one(owner_id: UserId, workflow_id: WorkflowId) -> tuple[ColumnElement[bool], ...]:
    return table.c.id == workflow_id, table.c.owner_id == owner_id, IS_KEPT


def _changeable(workflow: Workflow) -> dict[str, Any]:
    return {
        "name": workflow.name,
        "name_folded": fold(workflow.name or ""),
        "description": workflow.description,
        "default_view": workflow.default_view.value,
        "updated_at": workflow.updated_at,
    }


def _workflow(row: Row[Any]) -> Workflow:
    origin = None
    if row.forked_from is not None:
        version_id = row.forked_from_version
        origin = Origin(WorkflowId(row.forked_from), None if version_id is None else VersionId(version_id))
    return Workflow(
        id=WorkflowId(row.id),
        owner_id=UserId(row.owner_id),
        name=row.name,
        description=row.description,
        default_view=DefaultView(row.default_view),
        latest_version=row.latest_version,
        created_at=row.created_at,
        updated_at=row.updated_at,
        forked_from=origin,
    )
