"""Publishing a file of userdata by its path, as the web UI does; and feedback."""

import pytest
from tests.api.client import Client

pytestmark = pytest.mark.anyio

FILE = "/api/userdata/workflows%2Fone.json"


async def test_publish_and_read(client: Client) -> None:
    await client.post(FILE, {"nodes": [], "extra": {"api_key_comfy_org": "secret"}})
    before = await client.get(f"{FILE}/publish")
    assert (before.status, before.json["publish_time"], before.json["share_id"]) == (200, None, "")
    await client.upload("/api/upload/image", {}, image=("cat.png", b"\x89PNG\r\n\x1a\n"))
    graph = {"nodes": [{"widgets_values": ["cat.png"]}]}
    saved = (await client.post("/api/workflows", {"workflow_json": graph})).json
    asset_ids = (await client.get(f"/api/workflows/{saved['id']}/content")).json["dependency_asset_ids"]

    published = await client.post(f"{FILE}/publish", {"asset_ids": asset_ids})
    assert published.status == 200
    assert (await client.get(f"{FILE}/publish")).json == published.json
    shared = await client.get(f"/api/workflows/published/{published.json['share_id']}")
    assert shared.json == published.json | {
        "name": "one",
        "author": "local",
        "workflow_json": {"nodes": [], "extra": {"api_key_comfy_org": ""}},
    }
    asset = shared.json["assets"][0]
    assert (asset["id"], asset["name"]) == (asset_ids[0], "cat.png")
    assert (asset["model"], asset["public"], asset["in_library"]) == (False, False, True)
    file = await client.get(asset["storage_url"])
    assert (file.status, file.body) == (200, b"\x89PNG\r\n\x1a\n")
    assert asset["preview_url"] == asset["storage_url"]


async def test_what_is_not_there_is_404(client: Client) -> None:
    for path in ("/api/userdata/none.json/publish", "/api/userdata/..%2Fx/publish", "/api/workflows/published/none"):
        answer = await client.get(path)
        assert (answer.status, answer.json["code"]) == (404, "not_found")
    assert (await client.post("/api/userdata/none.json/publish", {"asset_ids": []})).status == 404
    assert (await client.get("/api/workflows/published/none/assets/none")).status == 404


async def test_what_cannot_be_published_is_400(client: Client) -> None:
    await client.post(FILE, {"nodes": []})
    for body in (b"", b"{", b"{}", b'{"asset_ids": [1]}', b'{"asset_ids": ["none"]}', b'{"asset_ids": "x"}'):
        assert (await client.post(f"{FILE}/publish", body)).status == 400
    assert (await client.get(f"{FILE}/publish")).json["publish_time"] is None


async def test_feedback(client: Client) -> None:
    said = {"type": "general", "rating": 5, "content": "good", "metadata": {"page": "x"}}
    assert (await client.post("/api/feedback", said)).status == 201
    assert (await client.post("/api/feedback", {"type": "missing_nodes"})).status == 201
    for wrong in ({}, {"type": "x"}, {"type": "general", "rating": 6}, {"type": "general", "rating": 1.5}):
        assert (await client.post("/api/feedback", wrong)).status == 400
