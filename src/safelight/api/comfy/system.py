"""What the server is and how it does: ``/api/system_stats``, ``/api/features``, ``/health``, ``/api/free``."""

import logging
import os
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from starlette.responses import PlainTextResponse, Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.responses import json_response
from safelight.core.worker import Device
from safelight.settings import Settings

log = logging.getLogger(__name__)

COMFYUI_VERSION = "0.8.0"
"""The version of ComfyUI whose interface this is; its clients compare it."""


def features(settings: Settings) -> dict[str, Any]:
    """The flags that the web UI and other clients adapt themselves to, over HTTP and over ``/ws``."""
    return {
        "supports_preview_metadata": True,
        "max_upload_size": settings.max_upload_bytes,
        "extension": {"manager": {"supports_v4": False}},
    }


async def get_features(app: App, request: ApiRequest) -> Response:
    headers = {"cache-control": "private, max-age=5", "vary": "Authorization, X-API-Key, Cookie"}
    return json_response(features(app.settings), headers=headers)


async def get_system_stats(app: App, request: ApiRequest) -> Response:
    """The command line is not told: it holds paths, and this route is open to all."""
    engines = app.dispatcher.engines()
    system = {
        "os": sys.platform,
        "ram_total": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "ram_free": _available_memory(),
        "comfyui_version": COMFYUI_VERSION,
        "cloud_version": f"safelight {_installed('safelight')}",
        "comfyui_frontend_version": _installed("comfyui-frontend-package"),
        "workflow_templates_version": _installed("comfyui-workflow-templates"),
        "required_frontend_version": _installed("comfyui-frontend-package"),
        "installed_templates_version": _installed("comfyui-workflow-templates"),
        "required_templates_version": _installed("comfyui-workflow-templates"),
        "python_version": sys.version if not engines else engines[0].python_version,
        "pytorch_version": engines[0].pytorch_version if engines else "",
        "embedded_python": False,
        "argv": ["safelight"],
    }
    devices = [_device(device) for engine in engines for device in engine.devices]
    return json_response({"system": system, "devices": devices})


async def get_health(app: App, request: ApiRequest) -> Response:
    """Whether the database answers."""
    try:
        await app.db.read(lambda tx: None)
    except Exception:  # a boundary: whatever keeps the database from answering makes the server unhealthy
        log.exception("the database does not answer")
        return PlainTextResponse("Service Unavailable", 503)
    return PlainTextResponse("OK")


async def get_live(app: App, request: ApiRequest) -> Response:
    """Whether the process answers: an orchestrator restarts it where it does not."""
    return PlainTextResponse("OK")


async def get_ready(app: App, request: ApiRequest) -> Response:
    """Whether a job would be accepted now: the database answers, and the nodes are known. Told beside it: how many
    workers have started, and how many slots there are, of which others may be starting or asleep."""
    try:
        await app.db.read(lambda tx: None)
    except Exception:  # a boundary, as above
        log.exception("the database does not answer")
        return PlainTextResponse("not ready: the database does not answer", 503)
    if not app.catalogue.is_known:
        return PlainTextResponse("not ready: no worker has declared its nodes yet", 503)
    words = {"ready": True, "workers": len(app.dispatcher.engines()), "slots": len(app.dispatcher.slots())}
    return json_response(words, headers={"cache-control": "no-store"})


async def free_memory(app: App, request: ApiRequest) -> Response:
    wishes = request.body or {}
    owner_id = None if request.who.is_admin else request.who.user_id  # others' models stay (HTTP-27)
    app.dispatcher.free(
        owner_id=owner_id,
        unload_models=bool(wishes.get("unload_models")),
        free_memory=bool(wishes.get("free_memory")),
    )
    return Response()


def _device(device: Device) -> dict[str, Any]:
    return {
        "name": device.name,
        "type": device.type,
        "index": device.index,
        "vram_total": device.vram_total,
        "vram_free": device.vram_free,
        "torch_vram_total": device.torch_vram_total,
        "torch_vram_free": device.torch_vram_free,
    }


def _available_memory() -> int:
    """What could be used without swapping; ``sysconf`` does not count what caches would give back."""
    for line in Path("/proc/meminfo").read_text("ascii").splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) * 1024
    return 0


@cache
def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
