"""A user's assets as a library: what is in it, what is known of each, and how that is changed.

Files by ComfyUI's names are the business of ``services/asset.py``. What is public can be read by everybody; for changes
it is as if it were not there.
"""

import builtins
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from safelight.core.asset import (
    PUBLIC_OWNER,
    Asset,
    AssetFilter,
    AssetPage,
    AssetPlace,
    AssetSort,
    FileName,
    Folder,
    TagCount,
    check_asset_name,
    clean_filename,
    clean_tags,
)
from safelight.core.clock import from_ms, to_ms
from safelight.core.digest import Digest, Sha256Digest
from safelight.core.errors import Conflict, Invalid, InvalidName, NotFound
from safelight.core.ids import AssetId, UserId, new_asset_id
from safelight.core.paging import Page, PageRequest
from safelight.core.user import Principal
from safelight.db import asset as rows
from safelight.db import asset_index, asset_list
from safelight.db import blob as blobs
from safelight.db import tag as tag_rows
from safelight.db import workflow as workflow_rows
from safelight.db.transaction import Transaction
from safelight.services import quota as quotas
from safelight.services.asset import free_name


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAsset:
    """``file``: where ComfyUI's clients are to find it. ``id``: the client's own, so that it may try again."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """``None`` leaves as it is."""

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
    after: AssetPlace | None = None,
) -> AssetPage:
    """Raises :class:`Invalid` for a place that belongs to another order."""
    if after is not None and (after.sort is not sort or after.descending != descending):
        raise Invalid(f"the cursor was made for another order than {sort.value}")
    return asset_list.page(
        tx.conn,
        _owners(who, public=wanted.include_public),
        wanted=wanted,
        sort=sort,
        descending=descending,
        limit=limit,
        offset=offset,
        after=after,
    )


def histogram(tx: Transaction, who: Principal, *, wanted: AssetFilter, limit: int) -> Sequence[TagCount]:
    """Tags of the assets that ``wanted`` finds, the most frequent first; of the newest, where these are very many."""
    owners = _owners(who, public=wanted.include_public)
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
    owners = _owners(who, public=include_public)
    return tag_rows.page(tx.conn, owners, prefix=prefix, include_zero=include_zero, by_name=by_name, request=request)


def get(tx: Transaction, who: Principal, *, asset_id: AssetId) -> Asset:
    for owner in _owners(who, public=True):
        if found := rows.find(tx.conn, owner, asset_id=asset_id):
            return found[1]
    raise _missing(asset_id)


def find_of_digest(tx: Transaction, who: Principal, *, digest: Digest | Sha256Digest, is_sha256: bool) -> Asset:
    """An asset of the caller's, or a public one, with those bytes. Other owners' bytes answer as unknown ones."""
    blake3 = blobs.of_sha256(tx.conn, Sha256Digest(digest)) if is_sha256 else Digest(digest)
    for owner in _owners(who, public=True) if blake3 else ():
        assert blake3 is not None
        if found := rows.find_of_digest(tx.conn, owner, digest=blake3):
            return found[1]
    raise NotFound("there is no asset of that hash")


def add(tx: Transaction, who: Principal, *, new: NewAsset, now: datetime) -> tuple[Asset, bool]:
    """Keep an upload; ``False``: it was there, by its id or by its bytes, and has got the tags that it did not have."""
    blobs.ensure(tx.conn, digest=new.digest, size=new.size, now=now, sha256=new.sha256)
    there = rows.find(tx.conn, who.user_id, asset_id=new.id) if new.id else None
    if there:
        return there[1], False
    if there := rows.find_of_digest(tx.conn, who.user_id, digest=new.digest):
        seq, asset = there
        missing = [tag for tag in new.tags if tag not in asset.tags]
        asset_index.change_tags(tx.conn, who.user_id, seq=seq, add=missing, remove=())
        return replace(asset, tags=tuple(sorted({*asset.tags, *missing}))), False
    return refer(tx, who, new=new, now=now), True


def refer(tx: Transaction, who: Principal, *, new: NewAsset, now: datetime) -> Asset:
    """A new asset of bytes that are in the store."""
    check_asset_name(new.name)
    _check_preview(tx, who, new.preview_id)
    quotas.admit_bytes(tx, who, size=new.size)
    tags = clean_tags(new.tags)
    now = from_ms(to_ms(now))  # as it is read back
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
    )
    rows.add(tx.conn, asset)
    return asset


def change(tx: Transaction, who: Principal, *, asset_id: AssetId, change: Change, now: datetime) -> Asset:
    seq, before = _own(tx, who, asset_id)
    if change.name is not None:
        check_asset_name(change.name)
    _check_preview(tx, who, change.preview_id)
    given = {
        field: value
        for field in ("name", "mime_type", "preview_id", "user_metadata")
        if (value := getattr(change, field)) is not None
    }
    after = replace(before, **given, updated_at=now)
    rows.change(tx.conn, who.user_id, seq=seq, before=before, after=after)
    return after


def change_tags(
    tx: Transaction, who: Principal, *, asset_id: AssetId, add: Collection[str] = (), remove: Collection[str] = ()
) -> TagChange:
    """A tag that is to be added and removed is removed."""
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
    """Raises :class:`Conflict` where something of the caller's rests on it."""
    seq, asset = _own(tx, who, asset_id)
    if is_referenced(tx, who, asset_id=asset_id):
        raise Conflict(f"the asset {asset_id} is used by a workflow")
    rows.remove(tx.conn, who.user_id, seq=seq, asset=asset)


def is_referenced(tx: Transaction, who: Principal, *, asset_id: AssetId) -> bool:
    """Whether a version of the caller's workflows names the asset."""
    return bool(workflow_rows.assets_in_use(tx.conn, who.user_id, asset_ids=[asset_id]))


def touch(tx: Transaction, who: Principal, *, asset_id: AssetId, now: datetime) -> None:
    rows.touch(tx.conn, who.user_id, asset_id=asset_id, now=now)


def _own(tx: Transaction, who: Principal, asset_id: AssetId) -> tuple[int, Asset]:
    found = rows.find(tx.conn, who.user_id, asset_id=asset_id)
    if found is None:
        raise _missing(asset_id)
    return found


def _owners(who: Principal, *, public: bool) -> builtins.list[UserId]:
    return [who.user_id, PUBLIC_OWNER] if public else [who.user_id]


def _missing(asset_id: AssetId) -> NotFound:
    return NotFound(f"there is no asset {asset_id}")


def _check_preview(tx: Transaction, who: Principal, preview_id: AssetId | None) -> None:
    if preview_id is not None:
        try:
            get(tx, who, asset_id=preview_id)
        except NotFound:
            raise Invalid(f"there is no asset {preview_id} for a preview") from None


def _file(tx: Transaction, who: Principal, new: NewAsset) -> FileName | None:
    """Where nodes and ``/api/view`` find it: in the folder that its tags name, or among the inputs; a model nowhere."""
    if "models" in new.tags:
        return None
    folder = next((folder for folder in Folder if folder.value in new.tags), Folder.INPUT)
    try:
        name = clean_filename(new.name.replace("\\", "/").rpartition("/")[2])
    except InvalidName:
        name = new.digest
    return free_name(tx, who, file=FileName(folder, "", name), digest=None)
