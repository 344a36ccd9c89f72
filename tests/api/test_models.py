"""``/api/admin/models``: an administrator imports a model by URL. 127.0.0.1 represents the Internet (conftest)."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tests.api.accounts import signed_in
from tests.api.conftest import Server
from tests.api.test_download import BYTES, World, server, world

__all__ = ["server", "world"]
pytestmark = pytest.mark.anyio

IMPORTS = "/api/admin/models/imports"
Headers = dict[str, str]


async def imported(server: Server, root: Headers, url: str, name: str = "b.safetensors") -> dict[str, Any]:
    body = {"url": url, "folder": "loras", "name": name}
    started = await server.client.post(IMPORTS, body, headers=root)
    assert started.status == 202, started.text
    for _ in range(500):
        [found] = [i for i in (await server.client.get(IMPORTS, root)).json["imports"] if i["id"] == started.json["id"]]
        if found["status"] in ("completed", "failed"):
            return found
        await asyncio.sleep(0.01)
    raise TimeoutError


async def test_an_imported_model_is_in_its_folder_with_license_and_source(server: Server, world: World) -> None:
    _, root = await signed_in(server, "root", is_admin=True)
    world.routes["/api/models/a/b/revision/main"] = lambda _: asyncio.sleep(
        0, web.json_response({"id": "a/b", "author": "a", "cardData": {"license": "apache-2.0"}})
    )
    url = f"{world.base}/a/b/resolve/main/b.safetensors"
    source = (await server.client.get(f"/api/admin/models/source?url={url}", root)).json
    assert (source["size"], source["license"]) == (len(BYTES), "apache-2.0")
    found = await imported(server, root, url, "style/b.safetensors")
    assert (found["status"], found["bytes_downloaded"]) == ("completed", len(BYTES))
    assert (server.models_dir / "loras" / "style" / "b.safetensors").read_bytes() == BYTES
    [listed] = [
        m for m in (await server.client.get("/api/admin/models", root)).json["models"] if m["folder"] == "loras"
    ]
    assert (listed["name"], listed["size"], listed["last_used_at"]) == ("style/b.safetensors", len(BYTES), None)
    assert (listed["source"]["license"], listed["source"]["url"]) == ("apache-2.0", url)
    again = await server.client.post(
        IMPORTS, {"url": url, "folder": "loras", "name": "style/b.safetensors"}, headers=root
    )
    assert again.status == 409


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("loras", "../../evil.safetensors"),
        ("loras", "/etc/evil.safetensors"),
        ("loras", ".hidden.safetensors"),
        ("loras", "script.py"),
        ("nowhere", "b.safetensors"),
        ("diffusers", "b.safetensors"),
        ("loras", "C:\\b.safetensors"),
    ],
)
async def test_a_name_outside_the_model_folders_is_refused(
    server: Server, world: World, folder: str, name: str
) -> None:
    _, root = await signed_in(server, "root", is_admin=True)
    body = {"url": f"{world.base}/b", "folder": folder, "name": name}
    refused = await server.client.post(IMPORTS, body, headers=root)
    assert (refused.status, "invalid model" in refused.json["message"]) == (400, True)


async def test_a_failed_import_says_why_and_leaves_nothing(server: Server, world: World, tmp_path: Path) -> None:
    _, root = await signed_in(server, "root", is_admin=True)
    found = await imported(server, root, f"{world.base}/status/404")
    assert (found["status"], found["error"]) == ("failed", "the source does not have this file")
    assert not list((server.models_dir).rglob("*b.safetensors*"))
