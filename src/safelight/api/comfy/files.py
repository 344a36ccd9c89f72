"""``/internal/files``: names of the caller's files, as the web UI offers them where the assets API is not in use."""

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.responses import json_response
from safelight.core.asset import Folder
from safelight.core.errors import Invalid
from safelight.services import asset as assets

MOST = 5000


async def list_internal_files(app: App, request: ApiRequest) -> Response:
    """The newest first, each with its folder (``a.png [input]``), as nodes take it."""
    who, folder = request.who, request.params["type"]
    if folder not in {f.value for f in Folder}:
        raise Invalid(f"{folder!r} is not a type of file; there are input, output and temp")
    files = await app.db.read(lambda tx: assets.list_files(tx, who, folder=Folder(folder), limit=MOST))
    return json_response([str(asset.file) for asset in files if asset.file and not asset.file.subfolder])
