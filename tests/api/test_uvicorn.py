"""Behaviour that depends on uvicorn: with a real server and a real client."""

import asyncio
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
import uvicorn
from tests.api.conftest import Server
from tests.api.prompts import text

pytestmark = pytest.mark.anyio


@pytest.fixture
async def web(server: Server) -> AsyncIterator[aiohttp.ClientSession]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        server.app, http="httptools", ws="websockets-sansio", lifespan="off", log_config=None, access_log=False
    )
    running = uvicorn.Server(config)
    task = asyncio.create_task(running.serve(sockets=[listener]))
    async with aiohttp.ClientSession(f"http://127.0.0.1:{listener.getsockname()[1]}") as session:
        yield session
    server.app.close_sockets()
    running.should_exit = True
    await task
    listener.close()


async def test_slash_stays_in_its_segment(web: aiohttp.ClientSession) -> None:
    for name in ("a.json", "b.json"):
        answer = await web.post(f"/api/userdata/work%2F{name}?full_info=true", data=b"{}")
        assert (answer.status, (await answer.json())["path"]) == (200, f"work/{name}")
    moved = await web.post("/api/userdata/work%2Fa.json/move/work%2Fsub%2Fc.json")
    assert (await moved.json())["path"] == "work/sub/c.json"


async def test_head_and_ranges(web: aiohttp.ClientSession) -> None:
    form = aiohttp.FormData()
    form.add_field("image", b"0123456789", filename="n.txt")
    assert (await (await web.post("/upload/image", data=form)).json())["name"] == "n.txt"
    head = await web.head("/view?filename=n.txt&type=input")
    assert (head.headers["content-length"], await head.read()) == ("10", b"")
    part = await web.get("/view?filename=n.txt&type=input", headers={"range": "bytes=2-4"})
    assert (part.status, await part.read()) == (206, b"234")


async def test_job_over_a_socket(web: aiohttp.ClientSession) -> None:
    async with web.ws_connect("/ws?clientId=c1") as ws:
        assert (await ws.receive_json())["data"]["sid"] == "c1"
        job = await (await web.post("/prompt", json={"prompt": text(), "client_id": "c1"})).json()
        kinds = []
        while not kinds or kinds[-1] != ("executing", None):
            message = await ws.receive_json(timeout=60)
            kinds.append((message["type"], message["data"].get("node")))
        assert ("execution_success", None) in kinds
        history = await (await web.get(f"/history/{job['prompt_id']}")).json()
        assert history[job["prompt_id"]]["status"]["completed"]


async def test_foreign_page_is_refused(web: aiohttp.ClientSession) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await web.ws_connect("/ws", headers={"origin": "http://evil.example"})
    assert refused.value.status == 403
    assert (await web.post("/api/interrupt", headers={"origin": "http://evil.example"})).status == 403


async def test_server_going_away_tells_its_sockets(web: aiohttp.ClientSession, server: Server) -> None:
    async with web.ws_connect("/ws") as ws:
        await ws.receive_json()
        server.app.close_sockets()
        message = await ws.receive(timeout=60)
        assert (message.type, ws.close_code) == (aiohttp.WSMsgType.CLOSE, 1001)
