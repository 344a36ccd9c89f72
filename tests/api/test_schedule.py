"""``/api/admin/schedule``: waiting and running jobs, for administrators; and pools that clients request."""

from pathlib import Path

import pytest
from tests.api.accounts import signed_in
from tests.api.conftest import Server, running
from tests.api.engine import start_only
from tests.api.prompts import text

from safelight.settings import Settings

pytestmark = pytest.mark.anyio

SCHEDULE = "/api/admin/schedule"


async def test_an_administrator_sees_what_waits_and_who_runs(server: Server) -> None:
    anna, hers = await signed_in(server, "anna")
    _, root = await signed_in(server, "root", is_admin=True)
    server.engine.script = start_only
    for _ in range(3):
        await server.client.post("/api/prompt", {"prompt": text()}, headers=hers)
    while not server.engine.jobs:
        await server.client.get("/api/queue", headers=hers)
    shown = (await server.client.get(SCHEDULE, headers=root)).json
    assert shown["queue"] == {"mode": "open", "waiting": {"": 2}, "waiting_by_engines": {"safelight": 2}}
    [slot] = shown["slots"]
    assert (slot["id"], slot["state"], slot["mode"], slot["user"]) == ("cpu", "running", "open", anna.user_id)
    assert slot["host"] == "studio"
    assert server.engine.jobs[0].job_id not in str(shown)


async def test_gates_over_http(server: Server) -> None:
    _, root = await signed_in(server, "root", is_admin=True)
    _, anna = await signed_in(server, "anna")
    client = server.client
    paused = await client.request("PUT", f"{SCHEDULE}/slots/cpu", b'{"mode": "paused"}', headers=root)
    assert paused.json["slots"][0]["mode"] == "paused"
    draining = await client.request("PUT", f"{SCHEDULE}/queue", b'{"mode": "draining"}', headers=root)
    assert draining.json["queue"]["mode"] == "draining"
    refused = await client.post("/api/prompt", {"prompt": text()}, headers=anna)
    assert refused.status == 503
    for path, body in ((f"{SCHEDULE}/queue", b'{"mode": "drained"}'), (f"{SCHEDULE}/slots/cpu", b"[]")):
        assert (await client.request("PUT", path, body, headers=root)).status == 400
    assert (await client.request("PUT", f"{SCHEDULE}/slots/x", b'{"mode": "open"}', headers=root)).status == 404


@pytest.mark.parametrize("path", ["", "/queue", "/slots/cpu", "/slots/other"])
async def test_others_are_refused(server: Server, path: str) -> None:
    _, anna = await signed_in(server, "anna")
    method, body = ("PUT", b'{"mode": "paused"}') if path else ("GET", b"")
    assert (await server.client.request(method, SCHEDULE + path, body, headers=anna)).status == 403
    assert (await server.client.request(method, SCHEDULE + path, body)).status == 401


async def test_a_pool_that_is_not_there_is_refused(tmp_path: Path, settings: Settings, migrated: Path) -> None:
    async with running(tmp_path, settings.changed(pools=("large=1",)), migrated) as server:
        asked = {"prompt": text(), "extra_data": {"pool": "small"}}
        refused = await server.client.post("/api/prompt", asked)
        assert (refused.status, "valid: large" in str(refused.json)) == (400, True)
        asked["extra_data"] = {"pool": "large"}
        assert (await server.client.post("/api/prompt", asked)).status == 200


async def test_the_document_marks_these_routes_as_ours(server: Server) -> None:
    document = (await server.client.get("/openapi.json")).json
    assert document["paths"][SCHEDULE]["get"]["x-safelight"] is True
    assert document["paths"][SCHEDULE + "/slots/{slot}"]["put"]["x-safelight"] is True
