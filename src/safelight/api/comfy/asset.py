"""``/api/assets``: the caller's assets in pages and one by one, their details, and new assets of stored bytes."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.blob_response import blob_response
from safelight.api.comfy.asset_json import asset_json, parse_asset_id, read_cursor, updated_json, write_cursor
from safelight.api.handler import reads, writes
from safelight.core.asset import MAX_ASSET_NAME, AssetFilter, AssetSort
from safelight.core.digest import Digest, parse_digest
from safelight.core.errors import Invalid, NotFound
from safelight.core.ids import AssetId
from safelight.core.metadata_field import parse_metadata_filter
from safelight.db.transaction import Transaction
from safelight.services import asset_access
from safelight.services import asset_library as library
from safelight.services.asset_library import Change, NewAsset

MAX_FILTER_TAGS = 32
_LARGEST_OFFSET = 1 << 40
_NO_FILE = Digest("0" * 64)


@reads
def list_assets(tx: Transaction, request: ApiRequest) -> Any:
    params, sort = request.params, AssetSort(request.params["sort"])
    if params["after"] is not None and sort is AssetSort.LAST_ACCESS_TIME:
        raise Invalid("there are no cursors in the order of last_access_time")
    if params["offset"] > _LARGEST_OFFSET:
        raise Invalid(f"the offset {params['offset']} is too large")
    page = library.list(
        tx,
        request.who,
        wanted=read_filter(request),
        sort=sort,
        descending=params["order"] == "desc",
        limit=params["limit"],
        offset=params["offset"],
        after=read_cursor(params["after"]) if params["after"] is not None else None,
    )
    shown: dict[str, Any] = {
        "assets": [asset_json(asset, request.http) for asset in page.assets],
        "total": page.total,
        "has_more": page.has_more,
    }
    if page.next is not None and sort is not AssetSort.LAST_ACCESS_TIME:
        shown["next_cursor"] = write_cursor(page.next)
    return shown


@reads
def get_asset_by_id(tx: Transaction, request: ApiRequest) -> Any:
    return asset_json(asset_access.by_id(tx, request.who, asset_id=_id(request)), request.http)


async def get_asset_content(app: App, request: ApiRequest) -> Response:
    """The bytes of an asset that has no file name."""
    who, asset_id, now = request.who, _id(request), request.now
    asset = await app.db.read(lambda tx: asset_access.by_id(tx, who, asset_id=asset_id))
    await app.db.write(lambda tx: library.touch(tx, who, asset_id=asset_id, now=now), is_durable=False)
    return await blob_response(request.http, asset, app.blobs, presigning=app.presigning)


@writes
def update_asset(tx: Transaction, request: ApiRequest) -> Any:
    body = request.body
    if not {"name", "mime_type", "preview_id", "user_metadata"} & body.keys():
        raise Invalid("nothing to change: set name, mime_type, preview_id or user_metadata")
    change = Change(
        name=body.get("name"),
        mime_type=read_mime_type(body),
        preview_id=read_preview_id(body),
        user_metadata=body.get("user_metadata"),
    )
    return updated_json(library.change(tx, request.who, asset_id=_id(request), change=change, now=request.now))


@writes(status=204)
def delete_asset(tx: Transaction, request: ApiRequest) -> Any:
    library.remove(tx, request.who, asset_id=_id(request))


@writes(status=201)
def create_asset_from_hash(tx: Transaction, request: ApiRequest) -> Any:
    who, body = request.who, request.body
    algorithm, _, digits = body["hash"].partition(":")
    mime_type = read_mime_type(body)
    if not body["tags"]:
        raise Invalid("an asset from a hash needs a tag")
    source = asset_access.by_digest(tx, who, digest=Digest(digits), is_sha256=algorithm == "sha256")
    new = NewAsset(
        name=body.get("name") or source.name,
        digest=source.digest,
        size=source.size,
        mime_type=mime_type or source.mime_type,
        tags=body["tags"],
        user_metadata=body.get("user_metadata"),
        source_metadata=source.source_metadata,
    )
    asset = library.create(tx, who, new=new, now=request.now)
    return asset_json(asset, request.http) | {"created_new": True}


@reads
def check_asset_by_hash(tx: Transaction, request: ApiRequest) -> Response:
    try:
        asset_access.by_digest(tx, request.who, digest=parse_digest(request.params["hash"]), is_sha256=False)
    except NotFound:
        return Response(status_code=404)
    return Response(status_code=200)


def read_filter(request: ApiRequest) -> AssetFilter:
    """The filter of the contract and of the web UI, which also sends ``tags_any``, ``tags_none`` and ``hash``."""
    params, query = request.params, request.http.query_params
    include = tuple(dict.fromkeys(params["include_tags"]))
    exclude = tuple(dict.fromkeys((*params["exclude_tags"], *_split(query.get("tags_none")))))
    any_of = tuple(dict.fromkeys(_split(query.get("tags_any"))))
    if len(include) + len(exclude) + len(any_of) > MAX_FILTER_TAGS:
        raise Invalid(f"a filter has at most {MAX_FILTER_TAGS} tags")
    if len(any_of) == 1 and any_of[0] not in include:
        include, any_of = (*include, *any_of), ()
    name = params["name_contains"] or ""
    if "\0" in name or len(name) > MAX_ASSET_NAME:
        raise Invalid(f"name_contains has at most {MAX_ASSET_NAME} characters")
    return AssetFilter(
        include_tags=include,
        exclude_tags=exclude,
        any_tags=any_of,
        name_contains=name,
        fields=parse_metadata_filter(params["metadata_filter"]) if params["metadata_filter"] else (),
        digest=_digest_filter(params.get("asset_hash"), query.get("hash")),
        include_public=params["include_public"],
    )


def _digest_filter(asset_hash: str | None, named: str | None) -> Digest | None:
    """``named``: the web UI asks for the name of any input as if it were a digest; one that is none finds nothing."""
    if asset_hash or not named:
        return parse_digest(asset_hash.partition(".")[0]) if asset_hash else None
    try:
        return parse_digest(named.partition(".")[0])
    except Invalid:
        return _NO_FILE


def read_preview_id(body: Mapping[str, Any]) -> AssetId | None:
    value = body.get("preview_id")
    return parse_asset_id(value, what="preview_id") if value is not None else None


def read_mime_type(body: Mapping[str, Any]) -> str | None:
    value = body.get("mime_type")
    if value is None:
        return None
    kind, slash, rest = value.partition("/")
    if not (kind and slash and rest) or not value.isascii() or not value.isprintable() or len(value) > 255:
        raise Invalid(f"mime_type is {value!r}, which is not a MIME type")
    return str(value)


def _id(request: ApiRequest) -> AssetId:
    """Not validated: an id that cannot exist answers as one that does not exist."""
    return AssetId(request.params["id"].lower())


def _split(text: str | None) -> list[str]:
    return [part for part in (text or "").split(",") if part]
