"""``/api/v2/assets``: one asset at a time, its bytes, and new assets of bytes that are stored already."""

from datetime import timedelta
from typing import Any

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.blob_response import blob_response
from safelight.api.contract import Shape
from safelight.api.error_responses import shaped
from safelight.api.handler import reads, writes
from safelight.api.responses import json_response
from safelight.api.v2.asset_json import asset_json
from safelight.api.v2.asset_path import file_of, read_path, tags_of
from safelight.core.asset import clean_tags
from safelight.core.clock import whole_ms
from safelight.core.digest import parse_digest
from safelight.core.errors import InvalidDigest, NotFound
from safelight.core.ids import AssetId
from safelight.db.transaction import Transaction
from safelight.services import asset_access
from safelight.services import asset_library as library
from safelight.services.asset_library import NewAsset


class BlobNotFound(NotFound):
    """The caller has no asset with these bytes, whether or not another user has."""

    code = "blob_not_found"


@reads
def get_asset(tx: Transaction, request: ApiRequest) -> Any:
    asset = asset_access.viewable(tx, request.who, asset_id=_id(request), now=request.now)
    return asset_json(asset, request.http, now=request.now)


@writes(status=204)
def delete_asset(tx: Transaction, request: ApiRequest) -> Any:
    library.remove(tx, request.who, asset_id=_id(request))


async def get_asset_content(app: App, request: ApiRequest) -> Response:
    who, asset_id, now = request.who, _id(request), request.now
    asset = await app.db.read(lambda tx: asset_access.viewable(tx, who, asset_id=asset_id, now=now))
    response = await blob_response(request.http, asset, app.blobs, presigning=app.presigning)
    if response.status_code == 416:
        headers = {"content-range": f"bytes */{asset.size}"}
        message = f"the asset has {asset.size} bytes"
        return shaped(Shape.ENVELOPE, 416, "range_not_satisfiable", message, headers=headers)
    return response


@reads
def head_asset_by_hash(tx: Transaction, request: ApiRequest) -> Response:
    try:
        digest = parse_digest(request.params["hash"])
        asset_access.by_digest(tx, request.who, digest=digest, is_sha256=False)
    except (NotFound, InvalidDigest):
        return Response(status_code=404)
    return Response(status_code=200)


@writes
def asset_from_hash(tx: Transaction, request: ApiRequest) -> Any:
    """201 for a new asset; 200 for one that the caller has already with this path and these bytes."""
    who, body, now = request.who, request.body, whole_ms(request.now)
    try:
        source = asset_access.by_digest(tx, who, digest=parse_digest(body["hash"]), is_sha256=False)
    except (NotFound, InvalidDigest):
        raise BlobNotFound(f"there are no stored bytes {body['hash'][:100]!r} that you may use") from None
    path = read_path(body["file_path"]) if body.get("file_path") else source.name
    existing = library.find_same(tx, who, name=path, digest=source.digest)
    if existing is not None and not existing.has_expired(now):
        return json_response(asset_json(existing, request.http, now=now, created_new=False))
    new = NewAsset(
        name=path,
        digest=source.digest,
        size=source.size,
        mime_type=source.mime_type,
        tags=clean_tags([*tags_of(path), *body.get("tags", ())]),
        file=file_of(path),
        source_metadata=source.source_metadata,
        expires_at=now + timedelta(seconds=body["expires_in"]) if "expires_in" in body else None,
    )
    asset = library.create(tx, who, new=new, now=now)
    return json_response(asset_json(asset, request.http, now=now, created_new=True), status=201)


def _id(request: ApiRequest) -> AssetId:
    """Not validated: an id that cannot exist answers as one that does not exist."""
    return AssetId(request.params["id"].lower())
