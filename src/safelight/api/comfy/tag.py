"""Tags: of one asset, of all assets, and how many assets of a filter have each."""

from collections.abc import Sequence
from typing import Any

from safelight.api.api_request import ApiRequest
from safelight.api.comfy.asset import read_filter
from safelight.api.handler import reads, writes
from safelight.core.errors import Invalid
from safelight.core.ids import AssetId
from safelight.core.paging import PageRequest
from safelight.db.transaction import Transaction
from safelight.services import asset_library as library
from safelight.services.asset_library import TagChange


@reads
def list_tags(tx: Transaction, request: ApiRequest) -> Any:
    params = request.params
    page = library.tags(
        tx,
        request.who,
        prefix=params["prefix"] or "",
        include_zero=params["include_zero"],
        include_public=params["include_public"],
        by_name=params["order"] == "name_asc",
        request=PageRequest(limit=params["limit"], offset=min(params["offset"], 1 << 40)),
    )
    shown = [{"name": tag.name, "count": tag.count} for tag in page.items]
    return {"tags": shown, "total": page.total, "has_more": page.has_more}


@reads
def get_asset_tag_histogram(tx: Transaction, request: ApiRequest) -> Any:
    counts = library.histogram(tx, request.who, wanted=read_filter(request), limit=request.params["limit"])
    return {"tag_counts": {tag.name: tag.count for tag in counts}}


@writes
def add_asset_tags(tx: Transaction, request: ApiRequest) -> Any:
    changed = _change(tx, request, add=request.body["tags"])
    return {"added": changed.added, "already_present": changed.already_present, "total_tags": changed.total}


@writes
def remove_asset_tags(tx: Transaction, request: ApiRequest) -> Any:
    changed = _change(tx, request, remove=request.body["tags"])
    return {"removed": changed.removed, "not_present": changed.not_present, "total_tags": changed.total}


@writes
def update_asset_tags(tx: Transaction, request: ApiRequest) -> Any:
    add, remove = request.body.get("add") or (), request.body.get("remove") or ()
    if not add and not remove:
        raise Invalid("nothing to change: 'add' or 'remove' must name a tag")
    changed = _change(tx, request, add=add, remove=remove)
    return {
        "added": changed.added,
        "already_present": changed.already_present,
        "removed": changed.removed,
        "not_present": changed.not_present,
        "total_tags": changed.total,
    }


def _change(tx: Transaction, request: ApiRequest, *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> TagChange:
    asset_id = AssetId(request.params["id"].lower())
    return library.change_tags(tx, request.who, asset_id=asset_id, add=add, remove=remove)
