"""The model files on disk, as lists by folder. Only administrators see paths of this machine."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.responses import json_response
from safelight.core.errors import NotFound
from safelight.media import safetensors_header
from safelight.media.media_errors import UnreadableWeights
from safelight.services.model import ModelFile

MAX_HEADER_BYTES = 32 << 20
"""The largest header of a safetensors file that is read for a list."""


async def get_model_folders(app: App, request: ApiRequest) -> Response:
    """All folders but ``configs``, which contains no models; ComfyUI leaves it out, too."""
    return json_response(
        [
            {"name": name, "folders": [f"models/{p.name}" for p in places], "extensions": app.models.extensions(name)}
            for name, places in app.models.folders().items()
            if name != "configs"
        ]
    )


async def get_models_in_folder(app: App, request: ApiRequest) -> Response:
    files = app.models.files(request.params["folder"])
    return json_response(await asyncio.to_thread(lambda: [_described(file) for file in files]))


async def get_embeddings(app: App, request: ApiRequest) -> Response:
    """Names without their extension, as prompts refer to them."""
    return json_response([name.rpartition(".")[0] for name in app.models.names("embeddings")])


async def get_internal_folder_paths(app: App, request: ApiRequest) -> Response:
    """The folders in which models are found; administrators see their full paths."""
    shows_all = request.who.is_admin
    return json_response(
        {
            name: [[str(p) if shows_all else f"models/{p.name}"] for p in places]
            for name, places in app.models.folders().items()
        }
    )


async def list_model_folders(app: App, request: ApiRequest) -> Response:
    """``/models``: names only."""
    return json_response(list(app.models.folders()))


async def list_model_names(app: App, request: ApiRequest) -> Response:
    """``/models/{folder}``: names only."""
    return json_response([file.name for file in app.models.files(request.params["folder"])])


async def get_model_preview(app: App, request: ApiRequest) -> Response:
    """Pictures beside model files are not served; clients show a placeholder."""
    raise NotFound("this model has no preview")


async def get_model_metadata(app: App, request: ApiRequest) -> Response:
    """``/view_metadata/{folder}``: the metadata in the header of a safetensors file."""
    name = request.params["filename"]
    found = next((f for f in app.models.files(request.params["folder"]) if f.name == name), None)
    metadata = await asyncio.to_thread(_metadata, found.path) if found else None
    if metadata is None:
        raise NotFound(f"there is no metadata of {name!r}")
    return json_response(metadata)


def _described(file: ModelFile) -> dict[str, Any]:
    described: dict[str, Any] = {"name": file.name, "pathIndex": file.path_index}
    try:
        stat = file.path.stat()
    except OSError:  # it was deleted after the files were listed
        return described
    return described | {"modified": stat.st_mtime, "created": stat.st_ctime, "size": stat.st_size}


def _metadata(path: Path) -> Mapping[str, str] | None:
    try:
        with path.open("rb") as file:
            return safetensors_header.read(file, name=path.name, max_bytes=MAX_HEADER_BYTES).metadata or None
    except (OSError, UnreadableWeights):
        return None
