"""``POST /api/assets``: a client uploads bytes in a form, or the server downloads them from a URL."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.comfy.asset import read_mime_type, read_preview_id
from safelight.api.comfy.asset_json import asset_json, parse_asset_id
from safelight.api.error_responses import BodyTooLarge
from safelight.api.handler import on_leader_if, unchecked_body
from safelight.api.multipart import Form, read_form
from safelight.api.request_body import InvalidBody, parse_json
from safelight.api.responses import json_response
from safelight.core.asset import check_asset_name, clean_tags
from safelight.core.errors import Forbidden, Invalid, NotFound, Unprocessable, UnsupportedMedia
from safelight.core.ids import AssetId
from safelight.core.task import Task, TaskState
from safelight.services import asset_access, download
from safelight.services import asset_library as library
from safelight.services.asset_library import NewAsset


def _is_download(request: Request) -> bool:
    """Whether the body is JSON, which requests a download: the leader does these. A form contains the file itself."""
    return not request.headers.get("content-type", "").startswith("multipart/form-data")


@unchecked_body
@on_leader_if(_is_download)
async def upload_asset(app: App, request: ApiRequest) -> Response:
    kind = request.http.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _upload(app, request)
    if kind not in ("application/json", "text/plain", ""):
        raise UnsupportedMedia(
            f"a body of type {kind!r} is not supported; send multipart/form-data or application/json"
        )
    return await _download(app, request)


async def _download(app: App, request: ApiRequest) -> Response:
    """The task continues if the client disconnects; a request with the same ``Idempotency-Key`` finds it again."""
    who, key = request.who, request.http.headers.get("idempotency-key")
    body = await request.decode(await request.read(limit=app.settings.limits.max_body_bytes))
    declared = request.operation.body
    assert declared is not None
    assert declared.json is not None
    if (problem := declared.json.problem(body)) is not None:
        raise InvalidBody(f"the body does not match the schema: {problem}")
    if key is not None and not 0 < len(key) <= 255:
        raise InvalidBody("an Idempotency-Key has 1 to 255 characters")
    preview_id = read_preview_id(body)
    check_asset_name(body["name"])
    payload = {
        "url": body["url"],
        "name": body["name"],
        "tags": list(clean_tags(body.get("tags") or ())),
        "user_metadata": body.get("user_metadata"),
        "preview_id": preview_id,
    }
    task = await app.downloads.submit(who, payload=payload, key=key)
    task = await app.downloads.wait(who, task_id=task.id)
    if task.state is not TaskState.COMPLETED:
        raise _failure(task, limit=app.settings.limits.max_asset_bytes)
    asset_id = AssetId(task.result["asset_id"])
    asset = await app.db.read(lambda tx: asset_access.by_id(tx, who, asset_id=asset_id))
    return json_response(asset_json(asset, request.http) | {"created_new": task.result["created_new"]}, status=201)


def _failure(task: Task, *, limit: int) -> Exception:
    message = task.error_message or "the download did not finish"
    if task.error_code == download.TOO_LARGE:
        return BodyTooLarge(limit)
    kinds: dict[str | None, type[Exception]] = {
        download.FORBIDDEN: Forbidden,
        download.NOT_FOUND: NotFound,
        download.UNSUPPORTED: UnsupportedMedia,
        download.INVALID: Invalid,
    }
    return kinds.get(task.error_code, Unprocessable)(message)


async def _upload(app: App, request: ApiRequest) -> Response:
    who, now = request.who, app.clock.now()
    with app.uploads.counted(who.user_id):
        form = await read_form(request.http, app.blobs, file_field="file", limit=app.settings.limits.max_asset_bytes)
    new = _new_asset(form)
    asset, is_new = await app.db.write(lambda tx: library.add(tx, who, new=new, now=now))
    return json_response(asset_json(asset, request.http) | {"created_new": is_new}, status=201)


def _new_asset(form: Form) -> NewAsset:
    from safelight.media.sniff import UNKNOWN, mime_type_of

    file = form.files.get("file")
    if file is None:
        raise InvalidBody("the form has no file 'file'")
    name = form.fields.get("name") or file.filename.replace("\\", "/").rpartition("/")[2]
    found = mime_type_of(name, file.head)
    return NewAsset(
        name=name,
        digest=file.digest,
        sha256=file.sha256,
        size=file.size,
        # The bytes decide; the client's own type is used only where they are of no known type.
        mime_type=found if found != UNKNOWN else read_mime_type(_field(form, "mime_type")) or found,
        tags=clean_tags(_tags(form)),
        user_metadata=_metadata(form.fields.get("user_metadata")),
        preview_id=read_preview_id(_field(form, "preview_id")),
        id=parse_asset_id(form.fields["id"]) if form.fields.get("id") else None,
    )


def _field(form: Form, field: str) -> dict[str, str]:
    return {field: form.fields[field]} if form.fields.get(field) else {}


def _tags(form: Form) -> list[str]:
    """The tags of a form. Clients repeat the field, join tags by commas, or send a JSON list."""
    tags: list[str] = []
    for text in form.lists.get("tags", ()):
        if text.lstrip().startswith("["):
            items = parse_json(text.encode())
            if not all(isinstance(tag, str) for tag in items):
                raise InvalidBody("'tags' must be a list of strings")
            tags += items
        else:
            tags += [tag for tag in text.split(",") if tag.strip()]
    return tags


def _metadata(text: str | None) -> dict[str, Any] | None:
    if not text:
        return None
    value = parse_json(text.encode("utf-8", "surrogatepass"))
    if not isinstance(value, dict):
        raise InvalidBody("'user_metadata' must be a JSON object")
    return value
