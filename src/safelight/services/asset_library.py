"""A user's assets as a library: listing them, reading and changing their details and tags.

``services/named_files.py`` finds files by ComfyUI's names. Everybody can read public assets; a change to one answers as
if it did not exist.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from safelight.core.asset import (
    Asset,
    AssetCursor,
    AssetFilter,
    AssetPage,
    AssetSort,
    FileName,
    Folder,
    TagCount,
    check_asset_name,
    clean_filename,
    clean_tags,
    readable_owners,
)
from safelight.core.clock import from_ms, to_ms
from safelight.core.digest import Digest, Sha256Digest
from safelight.core.errors import Conflict, Invalid, InvalidName, NotFound
from safelight.core.event import FilesChanged
from safelight.core.ids import AssetId, new_asset_id
from safelight.core.paging import Page, PageRequest
from safelight.core.user import Principal
from safelight.db import asset as rows
from safelight.db import asset_index, asset_list, job_label
from safelight.db import blob as blobs
from safelight.db import tag as tag_rows
from safelight.db import workflow as workflow_rows
from safelight.db.transaction import Transaction
from safelight.services import quota as quotas
from safelight.services.asset_access import by_id
from safelight.services.named_files import free_name


class AssetInUse(Conflict):
    """A workflow, or a job that waits or runs, uses the asset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAsset:
    """``id``: chosen by the client, so that it can retry the upload. ``file``: where nodes find it, or a free name like
    it; ``None``: in the folder that the tags name. ``expires_at``: when the server deletes it."""

    name: str
    digest: Digest
    size: int
    mime_type: str
    sha256: Sha256Digest | None = None
    tags: Sequence[str] = ()
    user_metadata: Mapping[str, Any] | None = None
    source_metadata: Mapping[str, Any] | None = None
    preview_id: AssetId | None = None
    id: AssetId | None = None
    file: FileName | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The new values; ``None`` leaves a field unchanged."""

    name: str | None = None
    mime_type: str | None = None
    preview_id: AssetId | None = None
    user_metadata: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class TagChange:
    added: Sequence[str]
    already_present: Sequence[str]
    removed: Sequence[str]
    not_present: Sequence[str]
    total: Sequence[str]


def list(
    tx: Transaction,
    who: Principal,
    *,
    wanted: AssetFilter,
    sort: AssetSort = AssetSort.CREATED_AT,
    descending: bool = True,
    limit: int,
    offset: int = 0,
    after: AssetCursor | None = None,
) -> AssetPage:
    """A page of assets. Raises :class:`Invalid` for a cursor that was made for another order."""
    if after is not None and (after.sort is not sort or after.descending != descending):
        raise Invalid(f"the cursor was made for another order than {sort.value}")
    return asset_list.page(
        tx.conn,
        readable_owners(who.user_id, include_public=wanted.include_public),
        wanted=wanted,
        sort=sort,
        descending=descending,
        limit=limit,
        offset=offset,
        after=after,
    )


def histogram(tx: Transaction, who: Principal, *, wanted: AssetFilter, limit: int) -> Sequence[TagCount]:
    """The tags of the assets that match ``wanted``, most frequent first; of a very large result, those of the
    newest."""
    owners = readable_owners(who.user_id, include_public=wanted.include_public)
    if wanted == AssetFilter(include_public=wanted.include_public):
        page = tag_rows.page(tx.conn, owners, prefix="", include_zero=False, by_name=False, request=PageRequest(limit))
        return page.items
    counted = asset_list.tag_counts(tx.conn, owners, wanted=wanted)
    counts = sorted((TagCount(tag, count) for tag, count in counted.items()), key=lambda c: (-c.count, c.name))
    return counts[:limit]


def tags(
    tx: Transaction,
    who: Principal,
    *,
    prefix: str,
    include_zero: bool,
    include_public: bool,
    by_name: bool,
    request: PageRequest,
) -> Page[TagCount]:
    owners = readable_owners(who.user_id, include_public=include_public)
    return tag_rows.page(tx.conn, owners, prefix=prefix, include_zero=include_zero, by_name=by_name, request=request)


def add(tx: Transaction, who: Principal, *, new: NewAsset, now: datetime) -> tuple[Asset, bool]:
    """Add an upload. ``False``: the caller had it already, by its id or its bytes; its missing tags were added."""
    keep_bytes(tx, who, new=new, now=now)
    existing = rows.find(tx.conn, who.user_id, asset_id=new.id) if new.id else None
    if existing:
        return existing[1], False
    if existing := rows.find_of_digest(tx.conn, who.user_id, digest=new.digest):
        seq, asset = existing
        missing = [tag for tag in new.tags if tag not in asset.tags]
        asset_index.change_tags(tx.conn, who.user_id, seq=seq, add=missing, remove=())
        return replace(asset, tags=tuple(sorted({*asset.tags, *missing}))), False
    return create(tx, who, new=new, now=now), True


def keep_bytes(tx: Transaction, who: Principal, *, new: NewAsset, now: datetime) -> None:
    """Record that the store has the bytes of a caller's upload."""
    blobs.ensure(tx.conn, digest=new.digest, size=new.size, now=now, sha256=new.sha256)


def create(tx: Transaction, who: Principal, *, new: NewAsset, now: datetime) -> Asset:
    """Create an asset for bytes that are in the store."""
    check_asset_name(new.name)
    _check_preview(tx, who, new.preview_id)
    quotas.admit_bytes(tx, who, size=new.size)
    tags = clean_tags(new.tags)
    now = from_ms(to_ms(now))  # the precision of the database
    asset = Asset(
        id=new.id or new_asset_id(),
        owner_id=who.user_id,
        name=new.name,
        digest=new.digest,
        size=new.size,
        mime_type=new.mime_type,
        created_at=now,
        updated_at=now,
        last_access_at=now,
        file=_file(tx, who, new),
        tags=tuple(sorted(tags)),
        user_metadata=new.user_metadata or {},
        source_metadata=new.source_metadata or {},
        preview_id=new.preview_id,
        expires_at=new.expires_at,
    )
    rows.add(tx.conn, asset)
    tx.emit(FilesChanged(who.user_id))
    return asset


def change(tx: Transaction, who: Principal, *, asset_id: AssetId, change: Change, now: datetime) -> Asset:
    seq, before = _own(tx, who, asset_id)
    if change.name is not None:
        check_asset_name(change.name)
    _check_preview(tx, who, change.preview_id)
    values = {
        field: value
        for field in ("name", "mime_type", "preview_id", "user_metadata")
        if (value := getattr(change, field)) is not None
    }
    after = replace(before, **values, updated_at=now)
    rows.change(tx.conn, who.user_id, seq=seq, before=before, after=after)
    return after


def change_tags(
    tx: Transaction, who: Principal, *, asset_id: AssetId, add: Collection[str] = (), remove: Collection[str] = ()
) -> TagChange:
    """Add and remove tags; a tag in both lists is removed."""
    to_remove = clean_tags(remove)
    to_add = [tag for tag in clean_tags(add) if tag not in to_remove]
    seq, asset = _own(tx, who, asset_id)
    added = [tag for tag in to_add if tag not in asset.tags]
    removed = [tag for tag in to_remove if tag in asset.tags]
    asset_index.change_tags(tx.conn, who.user_id, seq=seq, add=added, remove=removed)
    return TagChange(
        added=added,
        already_present=[tag for tag in to_add if tag in asset.tags],
        removed=removed,
        not_present=[tag for tag in to_remove if tag not in asset.tags],
        total=sorted({*asset.tags, *added} - {*removed}),
    )


def remove(tx: Transaction, who: Principal, *, asset_id: AssetId) -> None:
    """Remove an asset. Raises :class:`AssetInUse` where a workflow of the caller uses it, or a job that waits or runs
    named it by its id."""
    seq, asset = _own(tx, who, asset_id)
    if is_referenced(tx, who, asset_id=asset_id):
        raise AssetInUse(f"the asset {asset_id} is used by a workflow")
    if job_label.is_held(tx.conn, who.user_id, asset_id=asset_id):
        raise AssetInUse(f"the asset {asset_id} is used by a job that has not ended")
    rows.remove(tx.conn, who.user_id, seq=seq, asset=asset)
    tx.emit(FilesChanged(who.user_id))


def find_same(tx: Transaction, who: Principal, *, name: str, digest: Digest) -> Asset | None:
    """The caller's newest asset with these bytes and this name."""
    return rows.find_same(tx.conn, who.user_id, name=name, digest=digest)


def is_referenced(tx: Transaction, who: Principal, *, asset_id: AssetId) -> bool:
    """Whether a version of one of the caller's workflows uses the asset."""
    return bool(workflow_rows.assets_in_use(tx.conn, who.user_id, asset_ids=[asset_id]))


def touch(tx: Transaction, who: Principal, *, asset_id: AssetId, now: datetime) -> None:
    rows.touch(tx.conn, who.user_id, asset_id=asset_id, now=now)


def _own(tx: Transaction, who: Principal, asset_id: AssetId) -> tuple[int, Asset]:
    found = rows.find(tx.conn, who.user_id, asset_id=asset_id)
    if found is None:
        raise _missing(asset_id)
    return found


def _missing(asset_id: AssetId) -> NotFound:
    return NotFound(f"there is no asset {asset_id}")


def _check_preview(tx: Transaction, who: Principal, preview_id: AssetId | None) -> None:
    if preview_id is not None:
        try:
            by_id(tx, who, asset_id=preview_id)
        except NotFound:
            raise Invalid(f"there is no asset {preview_id} for a preview") from None


def _file(tx: Transaction, who: Principal, new: NewAsset) -> FileName | None:
    """The file name for nodes and ``/api/view``: in the folder that the tags name, else among the inputs. A model has
    none."""
    if new.file is not None:
        return free_name(tx, who, file=new.file, digest=None)
    if "models" in new.tags:
        return None
    folder = next((folder for folder in Folder if folder.value in new.tags), Folder.INPUT)
    try:
        name = clean_filename(new.name.replace("\\", "/").rpartition("/")[2])
    except InvalidName:
        name = new.digest
    return free_name(tx, who, file=FileName(folder, "", name), digest=None)
