"""A server that does not lead forwards requests that need the leader, and serves all others."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from tests.api import client
from tests.api.conftest import Server
from tests.api.prompts import text

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _leader_has_no_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "check", lambda method, path, answer: None)


@dataclass
class Leader:
    """Answers everything, and records the requests. ``breaks``: it drops the connection instead."""

    url: str = ""
    asked: list[tuple[str, str, bytes]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    breaks: bool = False

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.raw_path, await request.read()))
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        if self.breaks:
            assert request.transport is not None
            request.transport.abort()
        return web.json_response({"from": "the leader"}, status=418, headers={"X-Own": "kept", "Set-Cookie": "a=b"})


@asynccontextmanager
async def leading(server: Server) -> AsyncIterator[Leader]:
    """Make ``server`` believe that another server leads."""
    leader = Leader()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", leader.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    leader.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    server.app._forwarder._leader = lambda: leader.url
    try:
        yield leader
    finally:
        await server.app._forwarder.close()
        await runner.cleanup()


async def test_a_submit_goes_to_the_leader_as_it_came(server: Server) -> None:
    async with leading(server) as leader:
        body = {"prompt": text(), "client_id": "c"}
        answer = await server.client.post("/api/prompt?x=1%2F2", body, headers={"X-API-Key": "k", "Cookie": "s=1"})
        assert (answer.status, answer.json) == (418, {"from": "the leader"})
        assert (answer.headers["x-own"], answer.headers["set-cookie"]) == ("kept", "a=b")
        [(method, target, sent)] = leader.asked
        assert (method, target) == ("POST", "/api/prompt?x=1%2F2")
        assert b'"client_id"' in sent
        [headers] = leader.headers
        assert (headers["x-api-key"], headers["cookie"], headers["x-forwarded-proto"]) == ("k", "s=1", "http")
        assert headers["host"] == headers["x-forwarded-host"] != leader.url.removeprefix("http://")


async def test_what_the_leader_alone_knows_is_asked_there(server: Server) -> None:
    async with leading(server) as leader:
        for path in ("/api/system_stats", "/system_stats", "/api/admin/schedule", "/api/extensions", "/my-pack/x"):
            assert (await server.client.get(path)).status == 418, path
        assert (await server.client.post("/api/free", {})).status == 418
        assert len(leader.asked) == 6


async def test_all_else_is_answered_here(server: Server) -> None:
    async with leading(server) as leader:
        for path in ("/api/jobs", "/api/queue", "/api/object_info", "/api/settings", "/api/user", "/health"):
            assert (await server.client.get(path)).status == 200, path
        assert leader.asked == []


async def test_what_was_passed_on_is_not_passed_on_again(server: Server) -> None:
    async with leading(server) as leader:
        answer = await server.client.get("/api/system_stats", headers={"X-Safelight-Forwarded": "1"})
        assert (answer.status, leader.asked) == (200, [])


async def test_a_leader_that_cannot_be_reached_is_done_without(server: Server) -> None:
    async with leading(server) as leader:
        pass
    server.app._forwarder._leader = lambda: leader.url
    server.app._forwarder._session = None
    answer = await server.client.post("/api/prompt", {"prompt": text()})
    assert (answer.status, leader.asked) == (200, [])
    await server.app._forwarder.close()


async def test_a_leader_that_goes_away_in_the_middle_is_a_503(server: Server) -> None:
    async with leading(server) as leader:
        leader.breaks = True
        answer = await server.client.post("/api/free", {})
        assert answer.status == 503
        assert "did not answer" in answer.json["message"]


async def test_a_job_with_keys_is_kept_by_nobody_else(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(server.app._app.dispatcher), "is_here", False)
    body = {"prompt": text(), "extra_data": {"api_key_comfy_org": "k"}}
    refused = await server.client.post("/api/prompt", body)
    assert refused.status == 503
    assert "keys" in refused.text
    assert (await server.client.post("/api/prompt", {"prompt": text()})).status == 200
