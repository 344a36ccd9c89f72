"""Publishing a workflow of userdata, and reading what was published; the bytes of its assets by a route of our own."""

from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.blob_response import blob_response
from safelight.api.responses import json_response
from safelight.core.clock import whole_ms
from safelight.core.ids import AssetId, ShareId
from safelight.db.publication import PublishedAsset
from safelight.services import publication as publications
from safelight.services.publication import Seen

_SHOWN_KINDS = ("image/", "video/", "audio/")


async def get_userdata_file_publish(app: App, request: ApiRequest) -> Response:
    who, path = request.who, request.params["file"]
    seen = await app.db.read(lambda tx: publications.status(tx, who, path=path))
    if seen is None:
        nothing = {"workflow_id": "", "share_id": "", "listed": False, "publish_time": None, "assets": []}
        return json_response(nothing)
    return json_response(_info(seen))


async def post_userdata_file_publish(app: App, request: ApiRequest) -> Response:
    who, path, now = request.who, request.params["file"], whole_ms(app.clock.now())
    asset_ids = [AssetId(asset_id) for asset_id in request.body["asset_ids"]]
    limit = app.settings.max_published_bytes
    seen = await app.db.write(
        lambda tx: publications.publish(tx, who, path=path, asset_ids=asset_ids, max_bytes=limit, now=now)
    )
    return json_response(_info(seen))


async def get_published_workflow(app: App, request: ApiRequest) -> Response:
    who, share_id, limit = request.who, ShareId(request.params["share_id"]), app.settings.max_published_bytes
    seen, content = await app.db.read(lambda tx: publications.read(tx, who, share_id=share_id, max_bytes=limit))
    return json_response(_info(seen) | {"name": seen.publication.name, "workflow_json": content})


async def get_published_asset(app: App, request: ApiRequest) -> Response:
    """Where ``storage_url`` leads. The share id is the right to read, beside an account."""
    who, share_id, asset_id = request.who, ShareId(request.params["share_id"]), AssetId(request.params["asset_id"])
    asset = await app.db.read(lambda tx: publications.read_asset(tx, who, share_id=share_id, asset_id=asset_id))
    return await blob_response(request.http, asset, app.blobs, presigning=app.presigning)


def _info(seen: Seen) -> dict[str, Any]:
    publication = seen.publication
    return {
        "workflow_id": publication.workflow_id,
        "share_id": publication.share_id,
        "listed": False,  # there is no hub here that could list it
        "publish_time": publication.published_at,
        "assets": [_asset(seen, asset) for asset in publication.assets],
    }


def _asset(seen: Seen, asset: PublishedAsset) -> dict[str, Any]:
    share_id = quote(seen.publication.share_id, safe="")
    url = f"/api/workflows/published/{share_id}/assets/{quote(asset.asset_id, safe='')}"
    return {
        "id": asset.asset_id,
        "name": asset.name,
        "preview_url": url if asset.mime_type.startswith(_SHOWN_KINDS) else "",
        "storage_url": url,
        "model": asset.is_model,
        "public": asset.is_public,
        "in_library": asset.digest in seen.owned,
    }
