"""``/api/workflows`` over HTTP: create, read, change, delete, and refused requests."""

from typing import Any

import pytest
from tests.api.client import Client

pytestmark = pytest.mark.anyio

GRAPH: dict[str, Any] = {"nodes": [{"id": 1, "type": "LoadImage", "widgets_values": ["cat.png"]}], "version": 0.4}


async def create(client: Client, name: str = "one", **words: Any) -> Any:
    answer = await client.post("/api/workflows", {"workflow_json": GRAPH, "name": name, **words})
    assert answer.status == 201, answer.body
    return answer.json


async def test_create_read_change_delete(client: Client) -> None:
    upload = await client.upload("/api/upload/image", {}, image=("cat.png", b"\x89PNG\r\n\x1a\n"))
    assert upload.status == 200
    made = await create(client, description="a cat", default_view="app")
    path = f"/api/workflows/{made['id']}"
    assert made["latest_version"] == 1
    assert (await client.get(path)).json == made
    content = (await client.get(f"{path}/content")).json
    assert content["workflow_json"] == GRAPH
    assert len(content["dependency_asset_ids"]) == 1

    version = await client.post(f"{path}/versions", {"base_version": 1, "workflow_json": {"nodes": []}})
    assert (version.status, version.json["version"], version.json["latest_version"]) == (201, 2, 2)
    stale = await client.post(f"{path}/versions", {"base_version": 1, "workflow_json": {}})
    assert (stale.status, stale.json["code"]) == (409, "conflict")
    assert (await client.get(f"{path}/content")).json["workflow_json"] == {"nodes": []}

    changed = await client.request("PATCH", path, b'{"name": "two"}')
    assert (changed.status, changed.json["name"], changed.json["description"]) == (200, "two", "a cat")
    forked = await client.post(f"{path}/fork", {"source_version": 1, "name": "three"})
    assert (forked.status, forked.json["name"]) == (201, "three")
    assert forked.json["forked_from"] == {"workflow_id": made["id"], "workflow_version_id": content["id"]}
    assert [w["name"] for w in (await client.get("/api/workflows?sort=name&order=asc")).json["data"]] == [
        "three",
        "two",
    ]

    deleted = await client.request("DELETE", path)
    assert (deleted.status, deleted.body) == (204, b"")
    for method, gone in (("GET", path), ("GET", f"{path}/content"), ("DELETE", path)):
        answer = await client.request(method, gone)
        assert (answer.status, answer.json["code"]) == (404, "not_found")
    assert (await client.get("/api/workflows")).json["pagination"]["total"] == 1


async def test_pages(client: Client) -> None:
    for n in range(3):
        await create(client, f"w{n}")
    page = (await client.get("/api/workflows?limit=2&name=W")).json
    assert [w["name"] for w in page["data"]] == ["w2", "w1"]
    assert page["pagination"] == {"offset": 0, "limit": 2, "total": 3, "has_more": True}
    least = (await client.get("/api/workflows?limit=0&offset=-5")).json["pagination"]
    assert (least["limit"], least["offset"]) == (1, 0)
    for query in ("limit=101", "limit=x", "sort=size", "order=up", "default_view=x"):
        answer = await client.get(f"/api/workflows?{query}")
        assert (answer.status, answer.json["code"]) == (400, "invalid_parameter"), query


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"workflow_json": []}',
        b'{"workflow_json": {}, "name": 1}',
        b'{"workflow_json": {}, "name": "a\\u0000"}',
        b'{"workflow_json": {}, "default_view": "x"}',
        b'{"workflow_json": {}, "forked_from_workflow_id": "nothing"}',
        b'{"workflow_json": {"a": "\\ud800"}}',
        b'{"workflow_json": ' + b'{"a":' * 200 + b"1" + b"}" * 200 + b"}",
    ],
)
async def test_what_is_no_workflow_is_422_and_nothing_is_saved(client: Client, body: bytes) -> None:
    assert (await client.post("/api/workflows", body)).status == 422
    assert (await client.get("/api/workflows")).json["pagination"]["total"] == 0


async def test_saved_as_it_came(client: Client) -> None:
    graph = {"ü": ["\U0001f5bc", 1.0, 2**63, -0.5, None, True, {"a\x00": "b\x00"}], "e\u0301": ""}
    made = await create(client, "n\u0303 \U0001f5bc", workflow_json=graph)
    assert made["name"] == "n\u0303 \U0001f5bc"
    assert (await client.get(f"/api/workflows/{made['id']}/content")).json["workflow_json"] == graph
