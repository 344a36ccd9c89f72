"""The server's versions, devices and state: ``/api/system_stats``, ``/api/features``, ``/health``, ``/api/free``."""

import os
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from starlette.responses import PlainTextResponse, Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.handler import on_leader
from safelight.api.health import database_answers
from safelight.api.responses import json_response
from safelight.core.worker import Device
from safelight.settings import Settings

COMFYUI_VERSION = "0.8.0"
"""The version of ComfyUI whose API this server implements; clients compare it."""


def features(settings: Settings) -> dict[str, Any]:
    """The flags by which clients adapt to the server, sent over HTTP and over ``/ws``."""
    return {
        "supports_preview_metadata": True,
        "assets": True,
        "asset_deletion_enabled": True,
        "max_upload_size": settings.limits.max_upload_bytes,
        "extension": {"manager": {"supports_v4": False}},
    }


async def get_features(app: App, request: ApiRequest) -> Response:
    headers = {"cache-control": "private, max-age=5", "vary": "Authorization, X-API-Key, Cookie"}
    return json_response(features(app.settings), headers=headers)


@on_leader
async def get_system_stats(app: App, request: ApiRequest) -> Response:
    """``argv`` leaves out the arguments: they contain paths, and this route is open to everybody."""
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
    if not await database_answers(app):
        return PlainTextResponse("Service Unavailable", 503)
    return PlainTextResponse("OK")


@on_leader
async def free_memory(app: App, request: ApiRequest) -> Response:
    body = request.body or {}
    owner_id = None if request.who.is_admin else request.who.user_id  # other users' models stay loaded (HTTP-27)
    app.dispatcher.free(
        owner_id=owner_id,
        unload_models=bool(body.get("unload_models")),
        free_memory=bool(body.get("free_memory")),
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
    """Bytes of memory available without swapping. ``sysconf`` does not count memory that caches would release."""
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():  # not Linux: only the total is known
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for line in meminfo.read_text("ascii").splitlines():
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
