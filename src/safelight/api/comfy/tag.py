"""Tags: of one asset, of all, and how often each is found among the assets of a filter."""

from starlette.responses import Response

from safelight.api.answers import json_response
from safelight.api.app import App
from safelight.api.call import Call
from safelight.api.comfy.asset import read_filter
from safelight.core.errors import Invalid
from safelight.core.ids import AssetId
from safelight.core.paging import PageRequest
from safelight.services import asset_library as library
from safelight.services.asset_library import TagChange


async def list_tags(app: App, call: Call) -> Response:
    who, params = call.who, call.params
    request = PageRequest(limit=params["limit"], offset=min(params["offset"], 1 << 40))
    page = await app.db.read(
        lambda tx: library.tags(
            tx,
            who,
            prefix=params["prefix"] or "",
            include_zero=params["include_zero"],
            include_public=params["include_public"],
            by_name=params["order"] == "name_asc",
            request=request,
        )
    )
    shown = [{"name": tag.name, "count": tag.count} for tag in page.items]
    return json_response({"tags": shown, "total": page.total, "has_more": page.has_more})


async def get_asset_tag_histogram(app: App, call: Call) -> Response:
    who, wanted, limit = call.who, read_filter(call), call.params["limit"]
    counts = await app.db.read(lambda tx: library.histogram(tx, who, wanted=wanted, limit=limit))
    return json_response({"tag_counts": {tag.name: tag.count for tag in counts}})


async def add_asset_tags(app: App, call: Call) -> Response:
    changed = await _change(app, call, add=call.body["tags"], remove=())
    shown = {"added": changed.added, "already_present": changed.already_present, "total_tags": changed.total}
    return json_response(shown)


async def remove_asset_tags(app: App, call: Call) -> Response:
    changed = await _change(app, call, add=(), remove=call.body["tags"])
    shown = {"removed": changed.removed, "not_present": changed.not_present, "total_tags": changed.total}
    return json_response(shown)


async def update_asset_tags(app: App, call: Call) -> Response:
    add, remove = call.body.get("add") or (), call.body.get("remove") or ()
    if not add and not remove:
        raise Invalid("nothing to change: 'add' or 'remove' must name a tag")
    changed = await _change(app, call, add=add, remove=remove)
    return json_response(
        {
            "added": changed.added,
            "already_present": changed.already_present,
            "removed": changed.removed,
            "not_present": changed.not_present,
            "total_tags": changed.total,
        }
    )


async def _change(app: App, call: Call, *, add: list[str] | tuple[()], remove: list[str] | tuple[()]) -> TagChange:
    who, asset_id = call.who, AssetId(call.params["id"].lower())
    return await app.db.write(lambda tx: library.change_tags(tx, who, asset_id=asset_id, add=add, remove=remove))
