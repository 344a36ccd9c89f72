"""``/api/admin/models``: the model files of the server, and importing them by URL."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from starlette.responses import Response

from safelight.api.account.session import text_field
from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.contract import Parameter
from safelight.api.handler import on_leader, reads
from safelight.api.responses import json_response
from safelight.core.clock import to_ms
from safelight.core.task import Task
from safelight.db.transaction import Transaction
from safelight.services import model_import
from safelight.services.model_import import ListedModel

SOURCE_PARAMETERS = (Parameter("url", required=True),)
_LARGEST_BODY = 16 * 1024
_WITHOUT_MODELS = ("configs",)


async def list_models(app: App, request: ApiRequest) -> Response:
    """All model files, by folder and name, with what is known of their source and their last use."""
    who = request.who

    def read(tx: Transaction) -> tuple[Mapping[str, datetime], Sequence[Task]]:
        return model_import.last_uses(tx, who), model_import.imports(tx, who)

    uses, imported = await app.db.read(read)
    found = await asyncio.to_thread(
        model_import.listed,
        app.models,
        uses=uses,
        imported=imported,
        is_shown=lambda folder: folder not in _WITHOUT_MODELS,
    )
    folders = [folder for folder in app.models.folders() if folder not in _WITHOUT_MODELS]
    return json_response({"folders": folders, "models": [_model(model) for model in found]})


async def get_source(app: App, request: ApiRequest) -> Response:
    """Size, license and author of a file that may be imported, as its site says."""
    source = await app.model_imports.source(request.who, url=request.params["url"])
    return json_response({"size": source.size, **source.facts})


@reads
def list_imports(tx: Transaction, request: ApiRequest) -> Any:
    return {"imports": [import_json(task) for task in model_import.imports(tx, request.who)]}


@on_leader
async def start_import(app: App, request: ApiRequest) -> Response:
    """Start to download a model into a folder; the response is its task, whose progress is in the list."""
    model_import.require_admin(request.who)
    body = await request.read_json(limit=_LARGEST_BODY)
    url, folder, name = text_field(body, "url"), text_field(body, "folder"), text_field(body, "name")
    task = await app.model_imports.start(request.who, url=url, folder=folder, name=name)
    return json_response(import_json(task), status=202)


def import_json(task: Task) -> dict[str, Any]:
    return {
        "id": task.id,
        "status": task.state.value,
        "url": task.payload["url"],
        "folder": task.payload["folder"],
        "name": task.payload["name"],
        "bytes_downloaded": task.result.get("bytes_downloaded", 0),
        "bytes_total": task.result.get("bytes_total"),
        "error": task.error_message,
        "created_at": to_ms(task.created_at),
    }


def _model(model: ListedModel) -> dict[str, Any]:
    return {
        "folder": model.file.folder,
        "name": model.file.name,
        "size": model.size,
        "architecture": model.architecture,
        "last_used_at": to_ms(model.last_used_at) if model.last_used_at else None,
        "source": model.source,
    }
