"""Tags: of one asset, of all, and how often each is found among the assets of a filter."""

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.comfy.asset import read_filter
from safelight.api.responses import json_response
from safelight.core.errors import Invalid
from safelight.core.ids import AssetId
from safelight.core.paging import PageRequest
from safelight.services import asset_library as library
from safelight.services.asset_library import TagChange


async def list_tags(app: App, request: ApiRequest) -> Response:
    who, params = request.who, request.params
    page_request = PageRequest(limit=params["limit"], offset=min(params["offset"], 1 << 40))
    page = await app.db.read(
        lambda tx: library.tags(
            tx,
            who,
            prefix=params["prefix"] or "",
            include_zero=params["include_zero"],
            include_public=params["include_public"],
            by_name=params["order"] == "name_asc",
            request=page_request,
        )
    )
    shown = [{"name": tag.name, "count": tag.count} for tag in page.items]
    return json_response({"tags": shown, "total": page.total, "has_more": page.has_more})


async def get_asset_tag_histogram(app: App, request: ApiRequest) -> Response:
    who, wanted, limit = request.who, read_filter(request), request.params["limit"]
    counts = await app.db.read(lambda tx: library.histogram(tx, who, wanted=wanted, limit=limit))
    return json_response({"tag_counts": {tag.name: tag.count for tag in counts}})


async def add_asset_tags(app: App, request: ApiRequest) -> Response:
    changed = await _change(app, request, add=request.body["tags"], remove=())
    shown = {"added": changed.added, "already_present": changed.already_present, "total_tags": changed.total}
    return json_response(shown)


async def remove_asset_tags(app: App, request: ApiRequest) -> Response:
    changed = await _change(app, request, add=(), remove=request.body["tags"])
    shown = {"removed": changed.removed, "not_present": changed.not_present, "total_tags": changed.total}
    return json_response(shown)


async def update_asset_tags(app: App, request: ApiRequest) -> Response:
    add, remove = request.body.get("add") or (), request.body.get("remove") or ()
    if not add and not remove:
        raise Invalid("nothing to change: 'add' or 'remove' must name a tag")
    changed = await _change(app, request, add=add, remove=remove)
    return json_response(
        {
            "added": changed.added,
            "already_present": changed.already_present,
            "removed": changed.removed,
            "not_present": changed.not_present,
            "total_tags": changed.total,
        }
    )


async def _change(
    app: App, request: ApiRequest, *, add: list[str] | tuple[()], remove: list[str] | tuple[()]
) -> TagChange:
    who, asset_id = request.who, AssetId(request.params["id"].lower())
    return await app.db.write(lambda tx: library.change_tags(tx, who, asset_id=asset_id, add=add, remove=remove))
