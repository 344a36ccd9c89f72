"""``/api/userdata``: the user's small files.

The contract lists them as objects with times in milliseconds. ComfyUI's own spelling (``/userdata``) returns names,
pairs or objects with times in seconds, as its parameters say.
"""

from datetime import datetime
from typing import Any

from starlette.responses import PlainTextResponse, Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.byte_headers import DOWNLOAD, byte_headers
from safelight.api.handler import reads, writes
from safelight.api.responses import has_current, json_response
from safelight.core.asset import clean_subfolder
from safelight.core.clock import to_ms
from safelight.core.errors import Forbidden, InvalidName
from safelight.db.transaction import Transaction
from safelight.services import userdata
from safelight.services.userdata import UserFile


@reads
def get_userdata(tx: Transaction, request: ApiRequest) -> Any:
    params = request.params
    return [_info(file) for file in _list(tx, request, params["dir"] or "", recurse=params["recurse"])]


@reads
def get_core_userdata(tx: Transaction, request: ApiRequest) -> Any:
    params = request.params
    if not params["dir"]:
        return PlainTextResponse("Directory not provided", 400)
    files = _list(tx, request, params["dir"], recurse=params["recurse"])
    if params["full_info"]:
        return [_core_info(file) for file in files]
    if params["split"]:
        return [[file.path, *file.path.split("/")] for file in files]
    return [file.path for file in files]


@reads
def list_core_tree(tx: Transaction, request: ApiRequest) -> Any:
    """``/v2/userdata``: folders first, then files, always recursively."""
    path = request.params["path"] or ""
    inside = clean_subfolder(path)
    files = _list(tx, request, path, recurse=True)
    prefix = f"{inside}/" if inside else ""
    folders = sorted({parent for file in files for parent in _parents(file.path)})
    shown: list[dict[str, Any]] = [
        {"name": folder.rpartition("/")[2], "path": prefix + folder, "type": "directory"} for folder in folders
    ]
    for file in files:
        named = {"name": file.path.rpartition("/")[2], "path": prefix + file.path, "type": "file"}
        shown.append(named | {"size": file.size, "modified": _seconds(file.modified_at)})
    return shown


@reads
def get_userdata_file(tx: Transaction, request: ApiRequest) -> Response:
    """The bytes of a file, always as a download, except ``user.css``: the web UI's page loads it as a style sheet."""
    path = request.params["file"]
    file = userdata.stat(tx, request.who, path=path)
    etag = f'"{to_ms(file.modified_at):x}-{file.size:x}"'
    headers = {"etag": etag, "cache-control": "private, no-cache", **byte_headers(path.rpartition("/")[2], DOWNLOAD)}
    if path == "user.css":
        headers["content-type"] = "text/css"
    if has_current(request.http, etag):
        return Response(status_code=304, headers=headers)
    return Response(userdata.read(tx, request.who, path=path), headers=headers)


async def post_userdata_file(app: App, request: ApiRequest) -> Response:
    return json_response(_info(await _write(app, request)))


async def post_core_userdata_file(app: App, request: ApiRequest) -> Response:
    file = await _write(app, request)
    return json_response(_core_info(file) if request.params["full_info"] == "true" else file.path)


@writes
def move_userdata_file(tx: Transaction, request: ApiRequest) -> Any:
    return _info(_move(tx, request))


@writes
def move_core_userdata_file(tx: Transaction, request: ApiRequest) -> Any:
    file = _move(tx, request)
    return _core_info(file) if request.http.query_params.get("full_info") == "true" else file.path


@writes(status=204)
def delete_userdata_file(tx: Transaction, request: ApiRequest) -> Any:
    userdata.remove(tx, request.who, path=request.params["file"])


def _list(tx: Transaction, request: ApiRequest, directory: str, *, recurse: bool) -> list[UserFile]:
    return userdata.list(tx, request.who, directory=directory.rstrip("/"), recurse=recurse)


async def _write(app: App, request: ApiRequest) -> UserFile:
    who, path, now = request.who, request.params["file"], request.now
    overwrite = request.params["overwrite"] != "false"
    content = await request.read(limit=userdata.MAX_BYTES)
    try:
        return await app.db.write(
            lambda tx: userdata.write(tx, who, path=path, content=content, overwrite=overwrite, now=now)
        )
    except InvalidName as error:
        raise Forbidden(error.message) from None


def _move(tx: Transaction, request: ApiRequest) -> UserFile:
    params = request.params
    overwrite = params["overwrite"] != "false"
    return userdata.move(tx, request.who, path=params["file"], to=params["dest"], overwrite=overwrite)


def _info(file: UserFile) -> dict[str, Any]:
    """The contract's fields, and the time of creation, which the web UI reads."""
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
