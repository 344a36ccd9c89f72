"""Saved workflows: stored in immutable versions, listed, changed and forked.

Another user's workflow answers as one that does not exist, unless its owner has published it: then it answers
:class:`Forbidden`, and its published versions can be forked.
"""

import builtins
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from safelight.core.errors import Conflict, Forbidden, Invalid, NotFound
from safelight.core.ids import AssetId, UserId, WorkflowId, new_version_id, new_workflow_id
from safelight.core.paging import Page, PageRequest
from safelight.core.user import Principal
from safelight.core.userdata import clean_path
from safelight.core.workflow import (
    DefaultView,
    Origin,
    Workflow,
    WorkflowSort,
    WorkflowVersion,
    assets_named_in,
    clean_description,
    clean_name,
    name_of_file,
)
from safelight.db import owned_assets, publication
from safelight.db import workflow as rows
from safelight.db.transaction import Transaction
from safelight.db.types import encode_json
from safelight.services import named_files
from safelight.services import quota as quotas


@dataclass(frozen=True, slots=True, kw_only=True)
class NewWorkflow:
    content: Mapping[str, Any]
    name: str | None = None
    description: str | None = None
    default_view: DefaultView = DefaultView.WORKFLOW
    forked_from: Origin | None = None


def create(tx: Transaction, who: Principal, *, new: NewWorkflow, now: datetime) -> Workflow:
    """Create a workflow with its first version. Raises :class:`Invalid` for an origin that the caller cannot see."""
    if new.forked_from is not None and not _is_origin(tx, who, new.forked_from):
        raise Invalid(f"there is no workflow {new.forked_from.workflow_id} with such a version to fork from")
    return _add(tx, who, new=new, now=now)


def list(
    tx: Transaction,
    who: Principal,
    *,
    name: str | None = None,
    default_view: DefaultView | None = None,
    sort: WorkflowSort = WorkflowSort.CREATED,
    descending: bool = True,
    page: PageRequest,
) -> Page[Workflow]:
    """A page of workflows. ``name``: part of the name, in any case."""
    return rows.page(
        tx.conn,
        who.user_id,
        name=name,
        default_view=default_view,
        sort=sort,
        descending=descending,
        request=page,
    )


def get(tx: Transaction, who: Principal, *, workflow_id: WorkflowId) -> Workflow:
    found = rows.find(tx.conn, who.user_id, workflow_id=workflow_id)
    if found is not None:
        return found
    if publication.is_shared(tx.conn, who.user_id, workflow_id=workflow_id):
        raise Forbidden(f"the workflow {workflow_id} belongs to another user")
    raise _missing(workflow_id)


def latest(tx: Transaction, who: Principal, *, workflow_id: WorkflowId) -> WorkflowVersion:
    """The latest version with its content."""
    found = rows.find_version(tx.conn, who.user_id, workflow_id=workflow_id, version=None)
    if found is None:
        get(tx, who, workflow_id=workflow_id)
        raise _missing(workflow_id)
    return found


def change(
    tx: Transaction,
    who: Principal,
    *,
    workflow_id: WorkflowId,
    name: str | None,
    description: str | None,
    default_view: DefaultView | None,
    now: datetime,
) -> Workflow:
    """Change a workflow; ``None`` leaves a field unchanged."""
    before = rows.find(tx.conn, who.user_id, workflow_id=workflow_id)
    if before is None:
        raise _missing(workflow_id)
    after = replace(
        before,
        name=before.name if name is None else clean_name(name),
        description=before.description if description is None else clean_description(description),
        default_view=default_view or before.default_view,
    )
    if after != before:
        after = replace(after, updated_at=now)
        rows.replace(tx.conn, who.user_id, after=after)
    return after


def add_version(
    tx: Transaction,
    who: Principal,
    *,
    workflow_id: WorkflowId,
    base_version: int,
    content: Mapping[str, Any],
    now: datetime,
) -> WorkflowVersion:
    """Add a version. Raises :class:`Conflict` where ``base_version`` is not the latest: another client saved in
    between."""
    before = get(tx, who, workflow_id=workflow_id)
    if base_version != before.latest_version:
        raise Conflict(f"the workflow is at version {before.latest_version}; the change is based on {base_version}")
    after = replace(before, latest_version=before.latest_version + 1, updated_at=now)
    rows.replace(tx.conn, who.user_id, after=after)
    return _add_version(tx, who.user_id, after, content=content, now=now)


def keep_file(
    tx: Transaction, who: Principal, *, path: str, content: Mapping[str, Any], now: datetime
) -> tuple[WorkflowId, int]:
    """The saved workflow that is bound to a userdata file, and its version with this content; each is created if it is
    missing."""
    clean = clean_path(path)
    workflow_id = rows.find_at(tx.conn, who.user_id, path=clean)
    if workflow_id is None:
        made = create(tx, who, new=NewWorkflow(content=content, name=name_of_file(clean)), now=now)
        rows.follow(tx.conn, who.user_id, workflow_id=made.id, path=clean)
        return made.id, made.latest_version
    kept = latest(tx, who, workflow_id=workflow_id)
    if kept.content == content:
        return workflow_id, kept.version
    new = add_version(tx, who, workflow_id=workflow_id, base_version=kept.version, content=content, now=now)
    return workflow_id, new.version


def fork(
    tx: Transaction, who: Principal, *, workflow_id: WorkflowId, version: int, name: str | None, now: datetime
) -> Workflow:
    """Copy a version of one of the caller's workflows, or a published version of another user's, to a new workflow.

    A published version contains what was published: its credentials were removed.
    """
    source = rows.find(tx.conn, who.user_id, workflow_id=workflow_id)
    if source is not None:
        original = None
        if 1 <= version <= source.latest_version:
            original = rows.find_version(tx.conn, who.user_id, workflow_id=workflow_id, version=version)
        if original is None:
            raise _missing(workflow_id, version)
        new = NewWorkflow(
            content=original.content,
            name=source.name if name is None else name,
            description=source.description,
            default_view=source.default_view,
            forked_from=Origin(workflow_id, original.id),
        )
        return _add(tx, who, new=new, now=now)
    shared = publication.find_version(tx.conn, who.user_id, workflow_id=workflow_id, version=version)
    if shared is None:
        raise _missing(workflow_id, version)
    origin = Origin(workflow_id, shared.version_id)
    new = NewWorkflow(content=shared.content, name=shared.name if name is None else name, forked_from=origin)
    return _add(tx, who, new=new, now=now)


def remove(tx: Transaction, who: Principal, *, workflow_id: WorkflowId, now: datetime) -> None:
    """Remove a workflow and withdraw its publications."""
    publication.withdraw(tx.conn, who.user_id, workflow_id=workflow_id)
    if not rows.remove(tx.conn, who.user_id, workflow_id=workflow_id, now=now):
        raise _missing(workflow_id)


def assets_in_use(tx: Transaction, who: Principal, *, asset_ids: builtins.list[AssetId]) -> set[AssetId]:
    """Those of the caller's assets that a version of one of their workflows uses."""
    return rows.assets_in_use(tx.conn, who.user_id, asset_ids=asset_ids)


def _add(tx: Transaction, who: Principal, *, new: NewWorkflow, now: datetime) -> Workflow:
    workflow = Workflow(
        id=new_workflow_id(),
        owner_id=who.user_id,
        latest_version=1,
        created_at=now,
        updated_at=now,
        name=None if new.name is None else clean_name(new.name),
        description=None if new.description is None else clean_description(new.description),
        default_view=new.default_view,
        forked_from=new.forked_from,
    )
    rows.add(tx.conn, workflow)
    _add_version(tx, who.user_id, workflow, content=new.content, now=now)
    return workflow


def _add_version(
    tx: Transaction, owner_id: UserId, workflow: Workflow, *, content: Mapping[str, Any], now: datetime
) -> WorkflowVersion:
    quotas.admit_bytes(tx, Principal(owner_id), size=len(encode_json(content)))
    version = WorkflowVersion(
        id=new_version_id(),
        version=workflow.latest_version,
        created_at=now,
        content=content,
        dependencies=_dependencies(tx, owner_id, content),
    )
    rows.add_version(tx.conn, owner_id, workflow_id=workflow.id, new=version)
    return version


def _dependencies(tx: Transaction, owner_id: UserId, content: Mapping[str, Any]) -> tuple[AssetId, ...]:
    """The owner's assets that the graph names: by file name, digest or id."""
    named = assets_named_in(content)
    files = named_files.files_named(tx, Principal(owner_id), names=named.files)
    found = {asset.id for asset in files.values()}
    found |= set(owned_assets.ids_of(tx.conn, owner_id, digests=named.digests).values())
    found |= owned_assets.owned(tx.conn, owner_id, asset_ids=named.ids)
    return tuple(sorted(found))


def _is_origin(tx: Transaction, who: Principal, origin: Origin) -> bool:
    workflow_id, version_id = origin.workflow_id, origin.version_id
    if rows.find(tx.conn, who.user_id, workflow_id=workflow_id) is not None:
        if version_id is None:
            return True
        return rows.is_version(tx.conn, who.user_id, workflow_id=workflow_id, version_id=version_id)
    if version_id is None:
        return publication.is_shared(tx.conn, who.user_id, workflow_id=workflow_id)
    return publication.is_shared_version(tx.conn, who.user_id, workflow_id=workflow_id, version_id=version_id)


def _missing(workflow_id: WorkflowId, version: int | None = None) -> NotFound:
    of_version = "" if version is None else f" with a version {version}"
    return NotFound(f"there is no workflow {workflow_id}{of_version}")
