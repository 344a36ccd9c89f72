"""Published weaknesses of ComfyUI in routes that Safelight has as well, each tried here. They are listed in
``docs/operate/security.md``."""

import json
import os
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.api.client import Client
from tests.api.conftest import Server, running
from tests.api.prompts import picture

from safelight.settings import Settings

pytestmark = pytest.mark.anyio

SECRET = "the operator's own"
SCRIPT = b"<script>fetch('/api/settings')</script>"
OUT = [
    "../secret.txt",
    "..%2fsecret.txt",
    "..\\secret.txt",
    "....//secret.txt",
    "/secret.txt",
    "a/../../secret.txt",
    "%2e%2e/secret.txt",
    "..%252fsecret.txt",
    "secret.txt\0.png",
]
"""Ways out of a folder, for a query or a prompt."""


@pytest.fixture
def secret(tmp_path: Path, settings: Settings) -> Path:
    """What lies beside each folder that a name could be taken for a path in: all of them are there, with a folder in
    each, so that a server which did that would get out."""
    for served in ("input", "output", "temp", "blobs", "models/checkpoints"):
        folder = settings.server.data_dir / served
        (folder / "a").mkdir(parents=True)
        (folder.parent / "secret.txt").write_text(SECRET)
    (settings.server.data_dir.parent / "secret.txt").write_text(SECRET)
    return settings.server.data_dir / "secret.txt"


@pytest.mark.parametrize("name", OUT)
async def test_pr_2927_and_traversal_in_view(client: Client, secret: Path, name: str) -> None:
    for folder in ("input", "output", "temp"):
        for query in (
            f"filename={quote(name)}",
            f"filename=secret.txt&subfolder={quote(name.rpartition('/')[0] or '..')}",
        ):
            answer = await client.get(f"/api/view?type={folder}&{query}")
            assert answer.status in (400, 403, 404)
            assert SECRET not in answer.text
    for path in (f"/{name}", f"/{quote(name)}", f"/extensions/{quote(name)}", f"/assets/{quote(name)}"):
        assert SECRET not in (await client.get(path)).text


@pytest.mark.parametrize("name", [*OUT, "secret.txt", "{secret}"])
async def test_pr_13913_traversal_in_annotated_names_of_a_prompt(client: Client, secret: Path, name: str) -> None:
    named = name.replace("{secret}", str(secret))
    for annotation in ("", " [input]", " [output]", " [temp]"):
        prompt = picture("x")
        prompt["1"] = {"class_type": "LoadImage", "inputs": {"image": named + annotation}}
        answer = await client.post("/api/prompt", {"prompt": prompt})
        assert answer.status == 400
        assert SECRET not in answer.text


@pytest.mark.parametrize("name", OUT)
async def test_traversal_in_userdata(client: Client, secret: Path, name: str) -> None:
    path = f"/api/userdata/{quote(name, safe='')}"
    assert SECRET not in (await client.get(path)).text
    await client.post(path, b"overwritten")
    await client.post("/api/userdata/mine.json", b"{}")
    await client.post(f"/api/userdata/mine.json/move/{quote(name, safe='')}?overwrite=true")
    await client.request("DELETE", path)
    assert secret.read_text() == SECRET
    assert (secret.parent.parent / "secret.txt").read_text() == SECRET


@pytest.mark.parametrize("name", OUT)
async def test_traversal_in_previews_of_models(client: Client, secret: Path, name: str) -> None:
    for folder in ("checkpoints", quote(name, safe="")):
        for index in ("0", "-1", "99"):
            answer = await client.get(f"/experiment/models/preview/{folder}/{index}/{quote(name, safe='')}")
            assert answer.status in (400, 404)
            assert SECRET not in answer.text


async def test_issue_12285_links_out_of_a_folder(client: Client, secret: Path, settings: Settings) -> None:
    """Files are found by rows and read by digest: a file that was put into a folder belongs to nobody."""
    for folder in ("input", "output", "temp", "blobs"):
        place = settings.server.data_dir / folder
        place.mkdir(exist_ok=True)
        os.symlink(secret.parent, place / "away")
        os.symlink(secret, place / "link.txt")
        for query in ("filename=link.txt", "filename=secret.txt&subfolder=away"):
            answer = await client.get(f"/api/view?type={folder}&{query}")
            assert answer.status in (400, 404)
            assert SECRET not in answer.text


@pytest.mark.parametrize(
    "name", ["page.html", "page.htm", "drawing.svg", "page.xhtml", "page.png", "page", "script.js"]
)
async def test_cve_2024_10099_and_cve_2025_6092_stored_scripts(client: Client, name: str) -> None:
    uploaded = await client.upload("/api/upload/image", {}, image=(name, SCRIPT))
    shown = [await client.get(f"/api/view?type=input&filename={quote(uploaded.json['name'])}")]
    await client.post(f"/api/userdata/{name}", SCRIPT)
    shown.append(await client.get(f"/api/userdata/{name}"))
    for answer in shown:
        assert answer.body == SCRIPT
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"].startswith("attachment")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("origin", ["http://evil.example", "null"], ids=["cve_2024_10481", "ghsa_5xxr_jvhm_jxmj"])
async def test_pages_of_strangers(client: Client, origin: str) -> None:
    before = (await client.get("/api/queue")).json
    for path in (
        "/prompt",
        "/api/prompt",
        "/api/queue",
        "/api/interrupt",
        "/api/free",
        "/api/upload/image",
        "/settings",
    ):
        answer = await client.post(path, json.dumps({"prompt": picture("x")}).encode(), headers={"origin": origin})
        assert (answer.status, path) == (403, path)
    assert (await client.connect("/ws", {"origin": origin})).status == 403
    assert (await client.get("/api/queue")).json == before


async def test_issue_12860_names_that_were_made_to_point_here(server: Server) -> None:
    rebound = Client(server.app, host="rebound.example:8188")
    same = {"origin": "http://rebound.example:8188", "sec-fetch-site": "same-origin"}
    assert (await rebound.get("/api/settings", same)).status == 403
    assert (await rebound.post("/api/prompt", {"prompt": picture("x")}, headers=same)).status == 403
    assert (await rebound.connect("/ws", same)).status == 403


async def test_cve_2025_67303_configuration_under_the_users_files(client: Client, settings: Settings) -> None:
    """A user's files are rows of a database: the server and packs read none of them from disk."""
    files = set(settings.server.data_dir.rglob("*.ini")) | set(settings.server.data_dir.rglob("*.json"))
    for path in (
        "ComfyUI-Manager/config.ini",
        "default/ComfyUI-Manager/config.ini",
        "__manager/config.ini",
        "comfy.settings.json",
    ):
        await client.post(f"/api/userdata/{quote(path, safe='')}?overwrite=true", b"[default]\nsecurity_level = weak\n")
    assert set(settings.server.data_dir.rglob("*.ini")) | set(settings.server.data_dir.rglob("*.json")) == files


@pytest.mark.parametrize(
    "path",
    [
        "/customnode/install", "/v2/customnode/install", "/customnode/install/git_url", "/customnode/install/pip",
        "/manager/reboot", "/v2/manager/reboot", "/manager/queue/install", "/v2/manager/queue/batch",
        "/externalmodel/install", "/upload/temp", "/comfyui_manager/update_comfyui", "/snapshot/restore",
    ],
)  # fmt: skip
async def test_cve_2024_21574_no_route_installs_code(client: Client, path: str) -> None:
    body = {"url": "https://evil.example/x.git", "files": ["https://evil.example/x.py"], "pip": ["evil"]}
    for method in ("GET", "POST"):
        answer = await client.request(method, path, json.dumps(body).encode())
        is_for_the_web_ui = answer.body == f"the web UI's {path}".encode()  # which serves files only
        assert answer.status in (404, 405) or is_for_the_web_ui


async def test_a_server_beyond_loopback_wants_credentials(tmp_path: Path, settings: Settings, migrated: Path) -> None:
    """What scanners find of ComfyUI is open to whoever finds it."""
    async with running(tmp_path, settings.changed(accounts=True), migrated) as server:
        for path in ("/api/queue", "/api/settings", "/api/object_info", "/api/view?filename=x", "/api/userdata?dir="):
            assert (await server.client.get(path)).status == 401
        assert (await server.client.post("/api/prompt", {"prompt": picture("x")})).status == 401
