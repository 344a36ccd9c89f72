"""``/api/userdata``: the user's small files. The contract lists them as objects with times in milliseconds; ComfyUI's
own spelling (``/userdata``) answers names, pairs or seconds as it is asked to.
"""

from datetime import datetime
from typing import Any

from starlette.responses import PlainTextResponse, Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.byte_headers import DOWNLOAD, byte_headers
from safelight.api.responses import has_current, json_response
from safelight.core.asset import clean_subfolder
from safelight.core.clock import to_ms
from safelight.core.errors import Forbidden, InvalidName
from safelight.services import userdata
from safelight.services.userdata import UserFile


async def get_userdata(app: App, request: ApiRequest) -> Response:
    files = await _list(app, request, directory=request.params["dir"] or "", recurse=request.params["recurse"])
    return json_response([_info(file) for file in files])


async def get_core_userdata(app: App, request: ApiRequest) -> Response:
    params = request.params
    if not params["dir"]:
        return PlainTextResponse("Directory not provided", 400)
    files = await _list(app, request, directory=params["dir"], recurse=params["recurse"])
    if params["full_info"]:
        return json_response([_core_info(file) for file in files])
    if params["split"]:
        return json_response([[file.path, *file.path.split("/")] for file in files])
    return json_response([file.path for file in files])


async def list_core_tree(app: App, request: ApiRequest) -> Response:
    """``/v2/userdata``: folders first, then files, always with all below them."""
    path = request.params["path"] or ""
    inside = clean_subfolder(path)
    files = await _list(app, request, directory=path, recurse=True)
    prefix = f"{inside}/" if inside else ""
    folders = sorted({parent for file in files for parent in _parents(file.path)})
    shown: list[dict[str, Any]] = [
        {"name": folder.rpartition("/")[2], "path": prefix + folder, "type": "directory"} for folder in folders
    ]
    for file in files:
        named = {"name": file.path.rpartition("/")[2], "path": prefix + file.path, "type": "file"}
        shown.append(named | {"size": file.size, "modified": _seconds(file.modified_at)})
    return json_response(shown)


async def get_userdata_file(app: App, request: ApiRequest) -> Response:
    """Bytes as bytes: only a style sheet has a type of its own, because the web UI's page asks for ``user.css``."""
    who, path = request.who, request.params["file"]
    file = await app.db.read(lambda tx: userdata.stat(tx, who, path=path))
    etag = f'"{to_ms(file.modified_at):x}-{file.size:x}"'
    headers = {"etag": etag, "cache-control": "private, no-cache", **byte_headers(path.rpartition("/")[2], DOWNLOAD)}
    if path == "user.css":
        headers["content-type"] = "text/css"
    if has_current(request.http, etag):
        return Response(status_code=304, headers=headers)
    content = await app.db.read(lambda tx: userdata.read(tx, who, path=path))
    return Response(content, headers=headers)


async def post_userdata_file(app: App, request: ApiRequest) -> Response:
    return json_response(_info(await _write(app, request)))


async def post_core_userdata_file(app: App, request: ApiRequest) -> Response:
    file = await _write(app, request)
    return json_response(_core_info(file) if request.params["full_info"] == "true" else file.path)


async def move_userdata_file(app: App, request: ApiRequest) -> Response:
    return json_response(_info(await _move(app, request)))


async def move_core_userdata_file(app: App, request: ApiRequest) -> Response:
    file = await _move(app, request)
    full_info = request.http.query_params.get("full_info") == "true"
    return json_response(_core_info(file) if full_info else file.path)


async def delete_userdata_file(app: App, request: ApiRequest) -> Response:
    who, path = request.who, request.params["file"]
    await app.db.write(lambda tx: userdata.remove(tx, who, path=path))
    return Response(status_code=204)


async def _list(app: App, request: ApiRequest, *, directory: str, recurse: bool) -> list[UserFile]:
    who = request.who
    return await app.db.read(lambda tx: userdata.list(tx, who, directory=directory.rstrip("/"), recurse=recurse))


async def _write(app: App, request: ApiRequest) -> UserFile:
    who, path, now = request.who, request.params["file"], app.clock.now()
    overwrite = request.params["overwrite"] != "false"
    content = await request.read(limit=userdata.MAX_BYTES)
    try:
        return await app.db.write(
            lambda tx: userdata.write(tx, who, path=path, content=content, overwrite=overwrite, now=now)
        )
    except InvalidName as error:
        raise Forbidden(error.message) from None


async def _move(app: App, request: ApiRequest) -> UserFile:
    who, params = request.who, request.params
    overwrite = params["overwrite"] != "false"
    return await app.db.write(
        lambda tx: userdata.move(tx, who, path=params["file"], to=params["dest"], overwrite=overwrite)
    )


def _info(file: UserFile) -> dict[str, Any]:
    """The contract's, and the time of creation, which the web UI reads."""
    times = {"modified": to_ms(file.modified_at), "created": to_ms(file.created_at)}
    return {"path": file.path, "size": file.size} | times


def _core_info(file: UserFile) -> dict[str, Any]:
    times = {"modified": _seconds(file.modified_at), "created": _seconds(file.created_at)}
    return {"path": file.path, "size": file.size} | times


def _seconds(moment: datetime) -> float:
    return to_ms(moment) / 1000


def _parents(path: str) -> list[str]:
    """``a`` and ``a/b`` for ``a/b/c.json``."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: n + 1]) for n in range(len(parts))]
