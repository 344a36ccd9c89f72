"""Publishing a workflow of userdata and reading published ones; a route of our own serves the bytes of their assets."""

from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.blob_response import blob_response
from safelight.api.handler import reads, writes
from safelight.core.clock import whole_ms
from safelight.core.ids import AssetId, ShareId
from safelight.db.publication import PublishedAsset
from safelight.db.transaction import Transaction
from safelight.services import asset_access
from safelight.services import publication as publications
from safelight.services.publication import PublicationView

_SHOWN_KINDS = ("image/", "video/", "audio/")


@reads
def get_userdata_file_publish(tx: Transaction, request: ApiRequest) -> Any:
    view = publications.status(tx, request.who, path=request.params["file"])
    if view is None:
        return {"workflow_id": "", "share_id": "", "listed": False, "publish_time": None, "assets": []}
    return _info(view)


@writes
def post_userdata_file_publish(tx: Transaction, request: ApiRequest) -> Any:
    view = publications.publish(
        tx,
        request.who,
        path=request.params["file"],
        asset_ids=[AssetId(asset_id) for asset_id in request.body["asset_ids"]],
        max_bytes=request.settings.limits.max_published_bytes,
        now=whole_ms(request.now),
    )
    return _info(view)


@reads
def get_published_workflow(tx: Transaction, request: ApiRequest) -> Any:
    share_id, limit = ShareId(request.params["share_id"]), request.settings.limits.max_published_bytes
    view, content = publications.read(tx, request.who, share_id=share_id, max_bytes=limit)
    return _info(view) | {"name": view.publication.name, "workflow_json": content, "author": view.author}


async def get_published_asset(app: App, request: ApiRequest) -> Response:
    """The bytes at ``storage_url``. Any account that knows the share id may read them."""
    who, share_id, asset_id = request.who, ShareId(request.params["share_id"]), AssetId(request.params["asset_id"])
    asset = await app.db.read(lambda tx: asset_access.by_share(tx, who, share_id=share_id, asset_id=asset_id))
    return await blob_response(request.http, asset, app.blobs, presigning=app.presigning)


def _info(view: PublicationView) -> dict[str, Any]:
    publication = view.publication
    return {
        "workflow_id": publication.workflow_id,
        "share_id": publication.share_id,
        "listed": False,  # this server has no hub that lists publications
        "publish_time": publication.published_at,
        "assets": [_asset(view, asset) for asset in publication.assets],
    }


def _asset(view: PublicationView, asset: PublishedAsset) -> dict[str, Any]:
    share_id = quote(view.publication.share_id, safe="")
    url = f"/api/workflows/published/{share_id}/assets/{quote(asset.asset_id, safe='')}"
    return {
        "id": asset.asset_id,
        "name": asset.name,
        "preview_url": url if asset.mime_type.startswith(_SHOWN_KINDS) else "",
        "storage_url": url,
        "model": asset.is_model,
        "public": asset.is_public,
        "in_library": asset.digest in view.owned,
    }
