"""``/api/assets``: the caller's assets in pages and one by one, their details, and new ones of bytes that are there."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.blob_response import blob_response
from safelight.api.comfy.asset_json import asset_json, parse_asset_id, read_cursor, updated_json, write_cursor
from safelight.api.responses import json_response
from safelight.core.asset import MAX_ASSET_NAME, AssetFilter, AssetSort
from safelight.core.digest import Digest, parse_digest
from safelight.core.errors import Invalid, NotFound
from safelight.core.ids import AssetId
from safelight.core.metadata_field import parse_wishes
from safelight.services import asset_library as library
from safelight.services.asset_library import Change, NewAsset

MAX_FILTER_TAGS = 32
_LARGEST_OFFSET = 1 << 40


async def list_assets(app: App, request: ApiRequest) -> Response:
    who, params = request.who, request.params
    wanted, sort = read_filter(request), AssetSort(params["sort"])
    descending = params["order"] == "desc"
    if params["after"] is not None and sort is AssetSort.LAST_ACCESS_TIME:
        raise Invalid("there are no cursors in the order of last_access_time")
    after = read_cursor(params["after"]) if params["after"] is not None else None
    if params["offset"] > _LARGEST_OFFSET:
        raise Invalid(f"the offset {params['offset']} is too large")
    page = await app.db.read(
        lambda tx: library.list(
            tx,
            who,
            wanted=wanted,
            sort=sort,
            descending=descending,
            limit=params["limit"],
            offset=params["offset"],
            after=after,
        )
    )
    shown: dict[str, Any] = {
        "assets": [asset_json(asset, request.http) for asset in page.assets],
        "total": page.total,
        "has_more": page.has_more,
    }
    if page.next is not None and sort is not AssetSort.LAST_ACCESS_TIME:
        shown["next_cursor"] = write_cursor(page.next)
    return json_response(shown)


async def get_asset_by_id(app: App, request: ApiRequest) -> Response:
    who, asset_id = request.who, _id(request)
    asset = await app.db.read(lambda tx: library.get(tx, who, asset_id=asset_id))
    return json_response(asset_json(asset, request.http))


async def get_asset_content(app: App, request: ApiRequest) -> Response:
    """The bytes, for what has no file name."""
    who, asset_id, now = request.who, _id(request), app.clock.now()
    asset = await app.db.read(lambda tx: library.get(tx, who, asset_id=asset_id))
    await app.db.write(lambda tx: library.touch(tx, who, asset_id=asset_id, now=now), is_durable=False)
    return await blob_response(request.http, asset, app.blobs, presigning=app.presigning)


async def update_asset(app: App, request: ApiRequest) -> Response:
    who, asset_id, now = request.who, _id(request), app.clock.now()
    known = {"name", "mime_type", "preview_id", "user_metadata"} & request.body.keys()
    if not known:
        raise Invalid("nothing to change: give name, mime_type, preview_id or user_metadata")
    change = Change(
        name=request.body.get("name"),
        mime_type=read_mime_type(request.body),
        preview_id=read_preview_id(request.body),
        user_metadata=request.body.get("user_metadata"),
    )
    asset = await app.db.write(lambda tx: library.change(tx, who, asset_id=asset_id, change=change, now=now))
    return json_response(updated_json(asset))


async def delete_asset(app: App, request: ApiRequest) -> Response:
    who, asset_id = request.who, _id(request)
    await app.db.write(lambda tx: library.remove(tx, who, asset_id=asset_id))
    app.node_info.forget(who.user_id)
    return Response(status_code=204)


async def create_asset_from_hash(app: App, request: ApiRequest) -> Response:
    who, body, now = request.who, request.body, app.clock.now()
    algorithm, _, digits = body["hash"].partition(":")
    mime_type = read_mime_type(body)
    if not body["tags"]:
        raise Invalid("an asset from a hash needs a tag")

    def create(tx: Any) -> Any:
        source = library.find_of_digest(tx, who, digest=Digest(digits), is_sha256=algorithm == "sha256")
        new = NewAsset(
            name=body.get("name") or source.name,
            digest=source.digest,
            size=source.size,
            mime_type=mime_type or source.mime_type,
            tags=body["tags"],
            user_metadata=body.get("user_metadata"),
            source_metadata=source.source_metadata,
        )
        return library.refer(tx, who, new=new, now=now)

    asset = await app.db.write(create)
    app.node_info.forget(who.user_id)
    return json_response(asset_json(asset, request.http) | {"created_new": True}, status=201)


async def check_asset_by_hash(app: App, request: ApiRequest) -> Response:
    who, digest = request.who, parse_digest(request.params["hash"])
    try:
        await app.db.read(lambda tx: library.find_of_digest(tx, who, digest=digest, is_sha256=False))
    except NotFound:
        return Response(status_code=404)
    return Response(status_code=200)


def read_filter(request: ApiRequest) -> AssetFilter:
    """With what the web UI asks beside the contract: ``tags_any``, ``tags_none``, ``hash``."""
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
    digest = params.get("asset_hash") or query.get("hash")
    return AssetFilter(
        include_tags=include,
        exclude_tags=exclude,
        any_tags=any_of,
        name_contains=name,
        fields=parse_wishes(params["metadata_filter"]) if params["metadata_filter"] else (),
        digest=parse_digest(digest.partition(".")[0]) if digest else None,
        include_public=params["include_public"],
    )


def read_preview_id(body: Mapping[str, Any]) -> AssetId | None:
    given = body.get("preview_id")
    return parse_asset_id(given, what="preview_id") if given is not None else None


def read_mime_type(body: Mapping[str, Any]) -> str | None:
    given = body.get("mime_type")
    if given is None:
        return None
    kind, slash, rest = given.partition("/")
    if not (kind and slash and rest) or not given.isascii() or not given.isprintable() or len(given) > 255:
        raise Invalid(f"mime_type is {given!r}, which is not a MIME type")
    return str(given)


def _id(request: ApiRequest) -> AssetId:
    """An id that cannot exist is one that was not found."""
    return AssetId(request.params["id"].lower())


def _split(text: str | None) -> list[str]:
    return [part for part in (text or "").split(",") if part]
