"""Downloading assets from URLs: tasks, failures, and forbidden addresses. 127.0.0.1 represents the Internet
(conftest)."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tests.api.client import Answer, Client
from tests.api.conftest import Server, is_test_server, running

from safelight.blobs.local import LocalBlobStore
from safelight.core.clock import SystemClock
from safelight.core.ids import LOCAL_USER, UserId
from safelight.core.task import TaskState
from safelight.core.user import Principal
from safelight.db import user as users
from safelight.services import task as tasks
from safelight.services.download import NAME, Downloads
from safelight.services.egress import Egress
from safelight.services.model_site import Civitai, HuggingFace
from safelight.settings import Settings

pytestmark = pytest.mark.anyio

BYTES = os.urandom(50_000)
Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class World:
    """A file server; ``seen``: the requests with their Authorization header."""

    base: str
    routes: dict[str, Handle] = field(default_factory=dict)
    seen: list[tuple[str, str]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append((request.path, request.headers.get("authorization", "")))
        if (route := self.routes.get(request.path)) is not None:
            return await route(request)
        return await whole(request)


async def whole(request: web.Request) -> web.StreamResponse:
    if request.path.startswith("/status/"):
        return web.Response(status=int(request.path.rpartition("/")[2]))
    return web.Response(body=BYTES, content_type="application/octet-stream", headers={"etag": '"v1"'})


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World("")
    runner = web.AppRunner(web.Application(), shutdown_timeout=0.1)
    runner.app.router.add_route("*", "/{path:.*}", world.answer)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    world.base = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]
    yield world
    await runner.cleanup()


@pytest.fixture
async def server(tmp_path: Path, settings: Settings, migrated: Path, world: World) -> AsyncIterator[Server]:
    sites = (HuggingFace("hf-secret", world.base), Civitai("civitai-secret", world.base))
    async with running(tmp_path, settings, migrated, sites) as server:
        yield server


async def fetch(client: Client, url: str, *, key: str = "", **more: Any) -> Answer:
    headers = {"content-type": "application/json"} | ({"idempotency-key": key} if key else {})
    return await client.post("/api/assets", {"url": url, "name": "m.bin", **more}, headers=headers)


async def test_an_address_becomes_an_asset(client: Client, world: World) -> None:
    answer = await fetch(client, f"{world.base}/m.bin", tags=["models"], user_metadata={"a": 1}, key="k")
    assert answer.status == 201, answer.body
    asset = answer.json
    assert (asset["size"], asset["tags"], asset["created_new"]) == (len(BYTES), ["models"], True)
    assert asset["metadata"]["source_url"] == f"{world.base}/m.bin"
    assert (await client.get(f"/api/assets/{asset['id']}/content")).body == BYTES
    listed = (await client.get("/api/tasks?status=completed&task_name=asset_download&idempotency_key=k")).json
    assert listed["pagination"] == {"offset": 0, "limit": 20, "total": 1, "has_more": False}
    task = (await client.get(f"/api/tasks/{listed['tasks'][0]['id']}")).json
    assert (task["status"], task["idempotency_key"], task["payload"]["name"]) == ("completed", "k", "m.bin")
    assert task["result"]["asset_id"] == asset["id"]
    assert task["result"]["bytes_downloaded"] == task["result"]["bytes_total"] == len(BYTES)
    again = await fetch(client, f"{world.base}/m.bin", key="k")
    assert again.json["id"] == asset["id"]
    assert len(world.seen) == 1
    assert (await client.get("/api/tasks?status=running,failed")).json["tasks"] == []
    assert (await client.get("/api/tasks?status=nope")).status == 422
    assert (await client.get("/api/tasks/00000000-0000-4000-8000-000000000000")).status == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [("/status/401", 403), ("/status/403", 403), ("/status/404", 404), ("/status/500", 422), ("/big", 413),
     ("/page", 415)],
)  # fmt: skip
async def test_what_a_source_refuses(client: Client, world: World, path: str, status: int) -> None:
    async def big(request: web.Request) -> web.Response:
        return web.Response(body=b"x" * 70_000)

    async def page(request: web.Request) -> web.Response:
        return web.Response(text="<html>", content_type="text/html")

    world.routes = {"/big": big, "/page": page}
    answer = await fetch(client, world.base + path)
    assert answer.status == status
    task = (await client.get("/api/tasks")).json["tasks"][0]
    assert task["status"] == "failed"
    assert (await client.get(f"/api/tasks/{task['id']}")).json["error_message"]
    assert (await client.get("/api/assets")).json["total"] == 0


@pytest.mark.parametrize(
    "url", ["ftp://example.com/x", "http://", "x", "http://a b/", "http://user:pass@127.0.0.1/x", "file:///etc/passwd"]
)
async def test_what_is_no_address(client: Client, url: str) -> None:
    assert (await fetch(client, url)).status == 400


async def test_no_address_leads_inside(client: Client, world: World) -> None:
    port = world.base.rpartition(":")[2]

    async def inside(request: web.Request) -> web.Response:
        raise web.HTTPFound(f"http://127.0.0.2:{port}/secret")

    async def around(request: web.Request) -> web.Response:
        raise web.HTTPFound("/around")

    world.routes = {"/inside": inside, "/around": around}
    for path in (f"http://127.0.0.2:{port}/secret", f"http://[::1]:{port}/secret", f"http://0x7f000002:{port}/secret",
                 f"http://[::ffff:127.0.0.2]:{port}/", f"{world.base}/inside", f"{world.base}/around"):  # fmt: skip
        assert (await fetch(client, path)).status in (400, 422), path
    assert "/secret" not in [path for path, _ in world.seen]


async def test_a_broken_download_goes_on_where_it_was(client: Client, world: World, tmp_path: Path) -> None:
    asked: list[str | None] = []

    async def flaky(request: web.Request) -> web.StreamResponse:
        asked.append(request.headers.get("range"))
        if len(asked) > 1:
            assert request.headers["if-range"] == '"v1"'
            start = int(str(asked[-1]).removeprefix("bytes=").rstrip("-"))
            part = {"content-range": f"bytes {start}-{len(BYTES) - 1}/{len(BYTES)}", "etag": '"v1"'}
            return web.Response(status=206, body=BYTES[start:], headers=part)
        response = web.StreamResponse(headers={"content-length": str(len(BYTES)), "etag": '"v1"'})
        await response.prepare(request)
        await response.write(BYTES[:20_000])
        while sum(part.stat().st_size for part in (tmp_path / "downloads").iterdir()) < 20_000:  # noqa: ASYNC110 - until the client has written what it got
            await asyncio.sleep(0.01)
        assert request.transport is not None
        request.transport.close()
        return response

    world.routes = {"/m.bin": flaky}
    answer = await fetch(client, f"{world.base}/m.bin")
    assert answer.status == 201, answer.body
    assert asked == [None, "bytes=20000-"]
    assert (await client.get(f"/api/assets/{answer.json['id']}/content")).body == BYTES


async def test_a_restart_takes_downloads_up(server: Server, world: World, tmp_path: Path) -> None:
    who, payload = Principal(LOCAL_USER), {"url": f"{world.base}/m.bin", "name": "m.bin", "tags": ["models"]}
    clock = SystemClock()

    def left(tx: Any) -> Any:
        task = tasks.create(tx, who, name=NAME, key=None, payload=payload, now=clock.now())
        return tasks.advance(tx, who, task=task, result={"etag": '"v1"'}, now=clock.now())

    task = await server.db.write(left)
    downloads = Downloads(
        db=server.db,
        blobs=LocalBlobStore(tmp_path / "blobs"),
        clock=clock,
        folder=tmp_path / "downloads",
        max_bytes=100_000,
        timeout_s=20,
        egress=Egress(is_allowed=is_test_server),
    )
    await downloads.resume()
    assert (await downloads.wait(who, task_id=task.id)).state is TaskState.COMPLETED
    await downloads.stop()
    assert (await server.client.get("/api/assets")).json["total"] == 1


async def test_a_slow_source_is_given_up(server: Server, world: World, tmp_path: Path) -> None:
    async def silent(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    world.routes = {"/m.bin": silent}
    downloads = Downloads(
        db=server.db,
        blobs=LocalBlobStore(tmp_path / "blobs"),
        clock=SystemClock(),
        folder=tmp_path / "downloads",
        max_bytes=100_000,
        timeout_s=0.2,
        egress=Egress(is_allowed=is_test_server),
    )
    who = Principal(LOCAL_USER)
    task = await downloads.submit(who, payload={"url": f"{world.base}/m.bin", "name": "m"}, key=None)
    task = await downloads.wait(who, task_id=task.id)
    assert (task.state, task.error_code) == (TaskState.FAILED, "download_failed")
    await downloads.stop()


async def test_what_a_site_knows_of_its_files(client: Client, world: World) -> None:
    async def hugging(request: web.Request) -> web.Response:
        card = {"license": "apache-2.0", "base_model": "b/m"}
        return web.json_response({"id": "o/r", "author": "o", "sha": "abc", "cardData": card, "tags": ["lora"]})

    async def civitai(request: web.Request) -> web.Response:
        return web.json_response(
            {
                "id": 7,
                "modelId": 3,
                "name": "v2",
                "baseModel": "SDXL 1.0",
                "trainedWords": ["w"],
                "model": {"name": "Nice", "type": "LORA"},
                "files": [{"name": "n.bin", "hashes": {"SHA256": hashlib.sha256(BYTES).hexdigest().upper()}}],
                "images": [{"url": "https://example.com/p.jpeg"}],
            }
        )

    world.routes = {"/api/models/o/r/revision/main": hugging, "/api/v1/model-versions/7": civitai}
    facts = (await fetch(client, f"{world.base}/o/r/resolve/main/sub/m.bin")).json["metadata"]
    assert (facts["source"], facts["license"], facts["base_model"]) == ("huggingface", "apache-2.0", "b/m")
    assert ("/o/r/resolve/main/sub/m.bin", "Bearer hf-secret") in world.seen
    await client.request("DELETE", f"/api/assets/{(await client.get('/api/assets')).json['assets'][0]['id']}")
    facts = (await fetch(client, f"{world.base}/api/download/models/7")).json["metadata"]
    assert (facts["name"], facts["base_model"], facts["preview"]) == ("Nice", "SDXL 1.0", "https://example.com/p.jpeg")

    async def other(request: web.Request) -> web.Response:
        return web.json_response({"id": 8, "files": [{"hashes": {"SHA256": "00"}}]})

    world.routes["/api/v1/model-versions/8"] = other
    assert (await fetch(client, f"{world.base}/api/download/models/8")).status == 422


async def test_a_task_is_its_owners(server: Server, world: World) -> None:
    other, now = Principal(UserId("other")), SystemClock().now()

    def make(tx: Any) -> Any:
        users.ensure(tx.conn, other.user_id, name="other", is_admin=False, now=now)
        return tasks.create(tx, other, name=NAME, key="k", payload={}, now=now)

    task = await server.db.write(make)
    assert (await server.client.get(f"/api/tasks/{task.id}")).status == 404
    assert (await server.client.get("/api/tasks")).json["tasks"] == []
