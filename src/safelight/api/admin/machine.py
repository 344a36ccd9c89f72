"""``/api/admin/machine``: the memory of devices, and the space where files are stored."""

import asyncio
import shutil
from typing import Any

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.handler import on_leader
from safelight.api.responses import json_response
from safelight.services import user_directory as directory


@on_leader
async def get_machine(app: App, request: ApiRequest) -> Response:
    """In bytes. ``disks``: of the server's folder and of the first folder of models, once if they are on one disk."""
    directory.require_admin(request.who)
    settings = app.settings
    folders = {"data": settings.server.data_dir, "models": settings.model_roots[0]}
    disks: dict[int, dict[str, Any]] = {}
    for name, folder in folders.items():
        if await asyncio.to_thread(folder.exists):
            usage = await asyncio.to_thread(shutil.disk_usage, folder)
            device = (await asyncio.to_thread(folder.stat)).st_dev
            disks.setdefault(device, {"name": name, "total": usage.total, "free": usage.free})
    devices = [
        {"name": device.name, "total": device.vram_total, "free": device.vram_free}
        for engine in app.dispatcher.engines()
        for device in engine.devices
    ]
    return json_response({"devices": devices, "disks": list(disks.values())})
