"""Ids that clients choose belong to their owner, who learns nothing about the ids of others (promise 7)."""

import pytest
from tests.api.accounts import signed_in
from tests.api.conftest import Server
from tests.api.engine import start_only
from tests.api.prompts import picture

pytestmark = pytest.mark.anyio

ASSET = "0b9f1c52-8a39-4c86-9c07-6f3d20b4f7f1"


async def test_two_users_run_jobs_of_one_id(server: Server) -> None:
    seen = {}
    for name in ("anna", "ben"):
        _, headers = await signed_in(server, name)
        socket = await server.client.connect("/ws?clientId=same", headers=headers)
        body = {"prompt": picture(), "prompt_id": "mine", "client_id": "same"}
        answer = await server.client.post("/api/prompt", body, headers=headers)
        assert (answer.status, answer.json["prompt_id"]) == (200, "mine")
        frames = await socket.hear_until("executing", node=None, prompt_id="mine")
        named = {f["data"]["prompt_id"] for f in frames if isinstance(f, dict) and "prompt_id" in f["data"]}
        assert named == {"mine"}
        await socket.close()
        seen[name] = headers
    for headers in seen.values():
        job = (await server.client.get("/api/jobs/mine", headers=headers)).json
        assert (job["id"], job["status"]) == ("mine", "completed")
        assert list((await server.client.get("/history", headers=headers)).json) == ["mine"]
        item = (await server.client.get("/history/mine", headers=headers)).json["mine"]
        assert {data["prompt_id"] for _, data in item["status"]["messages"]} == {"mine"}
        again = await server.client.post("/api/prompt", {"prompt": picture(), "prompt_id": "mine"}, headers=headers)
        assert again.status == 400
        assert "there is already a job" in again.json["error"]["message"]
    await server.client.post("/api/history", {"delete": ["mine"]}, headers=seen["ben"])
    assert (await server.client.get("/api/jobs/mine", headers=seen["ben"])).status == 404
    assert (await server.client.get("/api/jobs/mine", headers=seen["anna"])).status == 200


async def test_an_interrupt_by_id_ends_the_caller_s_job_alone(server: Server) -> None:
    server.engine.script = start_only
    _, anna = await signed_in(server, "anna")
    _, ben = await signed_in(server, "ben")
    for headers in (anna, ben):
        await server.client.post("/api/prompt", {"prompt": picture(), "prompt_id": "mine"}, headers=headers)
    assert (await server.client.post("/api/jobs/mine/cancel", {}, headers=ben)).json == {"cancelled": True}
    assert (await server.client.get("/api/jobs/mine", headers=ben)).json["status"] == "cancelled"
    assert (await server.client.get("/api/jobs/mine", headers=anna)).json["status"] in ("pending", "in_progress")


async def test_two_users_have_assets_of_one_id(server: Server) -> None:
    owners = {}
    for name in ("anna", "ben"):
        _, headers = await signed_in(server, name)
        made = await server.client.upload("/api/assets", {"id": ASSET}, file=("a.txt", name.encode()), headers=headers)
        assert (made.status, made.json["id"], made.json["created_new"]) == (201, ASSET, True)
        owners[name] = headers
    for name, headers in owners.items():
        content = await server.client.get(f"/api/assets/{ASSET}/content", headers=headers)
        assert content.body == name.encode()
    assert (await server.client.request("DELETE", f"/api/assets/{ASSET}", headers=owners["ben"])).status == 204
    assert (await server.client.get(f"/api/assets/{ASSET}", headers=owners["anna"])).status == 200
