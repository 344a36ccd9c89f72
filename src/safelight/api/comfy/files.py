"""``/internal/files``: names of the caller's files, which the web UI offers where it does not use the assets API."""

from typing import Any

from safelight.api.api_request import ApiRequest
from safelight.api.handler import reads
from safelight.core.asset import Folder
from safelight.core.errors import Invalid
from safelight.db.transaction import Transaction
from safelight.services import named_files

MOST = 5000
"""Files in one response."""


@reads
def list_internal_files(tx: Transaction, request: ApiRequest) -> Any:
    """The newest first, each with its folder (``a.png [input]``), as nodes accept it."""
    folder = request.params["type"]
    if folder not in {f.value for f in Folder}:
        raise Invalid(f"{folder!r} is not a type of file; valid are input, output and temp")
    files = named_files.list_files(tx, request.who, folder=Folder(folder), limit=MOST)
    return [str(asset.file) for asset in files if asset.file and not asset.file.subfolder]
